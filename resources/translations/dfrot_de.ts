<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="de" sourcelanguage="en">
<context>
    <name>dfrot</name>
    <message>
        <source>&apos;builtin&apos; (the app&apos;s own text), &apos;wikitext-2&apos;, &apos;c4&apos;, or a .txt, .jsonl, .parquet or .raw file</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&apos;hadamard&apos; first mixes all channels by one transform at run time; &apos;block-hadamard&apos; mixes inside the blocks only</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&apos;kl-divergence&apos; from the original&apos;s predictions, or &apos;cross-entropy&apos; of the text (SpinQuant)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&apos;library:&apos; and a name in the rotation library, a .safetensors file with R1, or a .npy file with one square matrix</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>0 takes every core</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>16-bit KV cache</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>16-bit activations</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>2-bit activations</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>3-bit activations</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>4-bit activations</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>4-bit weights and activations everywhere: R4 travels in the checkpoint; transformers needs trust_remote_code, vLLM one GPU.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>4-bit weights and activations, 8 bits before down_proj, which only R4 reaches: transformers loads it, vLLM with 16-bit activations.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>4-bit weights only: a quarter of the memory, and every runtime loads it.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>4-bit weights, 8-bit activations: transformers loads it, vLLM with 16-bit activations.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>5-bit activations</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>6-bit activations</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>7-bit activations</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>8-bit activations</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>8-bit weights per channel and 8-bit activations: nearly lossless, and what most GPUs run fastest; transformers and vLLM load it.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>A saved R1: &apos;library:&apos; and its name in the rotation library, or a .safetensors or .npy file. Used when the start is from-file</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Activation rows for the comparison with other rotations; learning takes whole sequences</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Activation rows the refinement learns from</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Activations</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Add learned rotations to the library</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Also measure NR, RO and RH for comparison</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Angle of the first step, in radians</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Arcee</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>At most this many refinements</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Batch</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Block size</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Branch, tag or commit on the Hub</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Bytes, or like 4GB; the rest goes to the work folder. auto takes half of what is free</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>CPU threads</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>CWM</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Calibration</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Calibration sequences drawn for each step</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Channels that are mixed with each other</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Chooses the random rotation</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Chooses the sequences</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Clip</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Cohere</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Columns that share a scale</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Damping</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Data</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Device</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Drawn anew for each step of the descent</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Errors under no, a random orthogonal and a Hadamard rotation, on the same tokens</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Evaluation</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Examples</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Exceptions</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>FAILED</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Files are as written</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Files to write</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>For each block</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Format</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Gemma</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Globs of linears that stay as they are</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Granite</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Group size</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Helium</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>How many share the run on this computer; each takes a GPU of its own where GPUs are used</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>How much more a massive token&apos;s error counts; 50 to 200 is a plateau. &apos;auto&apos; makes them count as much as all the others together</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Hub id, folder with safetensors, GGUF file, or &apos;sample&apos; for the model that ships with the app</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Idefics</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>It writes sensible text</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Iterations</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>KV cache</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Keep the intermediate files after a finished run</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Kind</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>LLaVA</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Largest inputs first</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Learning rate</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Left alone</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Length</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Llama</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Loss</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Makes large channels of down_proj&apos;s input smaller before they are rounded; folded into the weights</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Massive weight γ</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Memory for hidden states</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Mistral</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Model</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Name</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>OLMo</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Of Adam, for both factors</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Of each linear&apos;s factors</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Of each task that are run; 0 runs all</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Of lm-evaluation-harness, by name or as a .yaml file; run before and after</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Of what was written: &apos;full&apos; folds, reloads and lets it write; &apos;quick&apos; only reads the files back</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Online; matters for a quantized KV cache</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Online; needs a runtime that applies it</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Output folder</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Phi</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Processes</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Proof</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Qwen</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>R1, residual stream</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>R2, value heads</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>R3, query and key</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>R4, MLP hidden</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Rank</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Recovery</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Relative change of a scale in the first step</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Reloaded, it computes the same</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Reorder channels</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Replace what is in the output folder</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Revision</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Rotation</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Rotation file</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Rotations leave the model as it is</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Round columns in the order of their inputs&apos; energy; groups stay</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Rounding</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Rows</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Rows per block</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Rows per step</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Same names as for calibration; never the same text by default</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Samples</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Scale per</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Scaling of the MLP&apos;s channels</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Seed</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Seed-OSS</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Sequences of a step</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Sequences per step</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Sequences that are run</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Share large channels out over the blocks; folded into the weights, costs nothing at run time</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Share of the inputs&apos; largest eigenvalue added to each</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Share of the inputs&apos; mean energy added to each</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Share of the range that is kept, or &apos;search&apos; for the least error per scale</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Share of the range that is kept; &apos;search&apos; finds one number for keys and one for values of each block on the calibration text</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Share of the range that is kept; 1.0 is what runtimes compute, &apos;search&apos; finds one number for each input on the calibration text</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>SmolLM</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>SmolVLM</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>StarCoder</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Start</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Start from</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Steps</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Symmetric</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Tasks</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Tensors are what was computed</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The preset it came from, or your own name</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The protocol of the DFRot paper: all rotations on, everything at 4 bits. No checkpoint format carries it; it is measured.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The rotation that is refined</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The rotation that is refined; DFRot takes a part of the iterations</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>They can then be used again by their name</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Tokens in each sequence</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Tokens in each window; &apos;model&apos; takes what the model can, at most 2,048</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Tokens of each block the refinement sees</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Version</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>W4A16</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>W4A4</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>W4A4-R4</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>W4A4KV4 (paper)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>W4A8</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>W8A8</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Weights</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Where a run keeps what it needs to resume; beside the output by default</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Where the checkpoint is written</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Window</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Windows</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Windows that are measured; 0 measures the whole text</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Work folder</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>any</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>auto takes the GPU when there is one</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>every runtime</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>loads</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>not done</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>not tried</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>other activations</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>passed</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>refused</source>
        <translation type="unfinished"></translation>
    </message>
</context>
</TS>
