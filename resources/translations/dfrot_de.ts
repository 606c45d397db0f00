<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="de" sourcelanguage="en">
<context>
    <name>dfrot</name>
    <message>
        <source> bits</source>
        <translation> Bit</translation>
    </message>
    <message>
        <source> or </source>
        <translation> oder </translation>
    </message>
    <message>
        <source> sequences</source>
        <translation> Sequenzen</translation>
    </message>
    <message>
        <source> tokens each</source>
        <translation> Token je Sequenz</translation>
    </message>
    <message numerus="yes">
        <source>%n folders</source>
        <translation>
            <numerusform>%n Ordner</numerusform>
            <numerusform>%n Ordner</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n linears marked, which hold {share:.0f} % of the summed divergence: {before:.2f} → {after:.2f} bits a weight on average, scales not counted.</source>
        <translation>
            <numerusform>%n Linearschicht markiert; sie trägt {share:.0f} % der summierten Divergenz: {before:.2f} → {after:.2f} Bit je Gewicht im Mittel, Skalen nicht mitgezählt.</numerusform>
            <numerusform>%n Linearschichten markiert; sie tragen {share:.0f} % der summierten Divergenz: {before:.2f} → {after:.2f} Bit je Gewicht im Mittel, Skalen nicht mitgezählt.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n models</source>
        <translation>
            <numerusform>%n Modell</numerusform>
            <numerusform>%n Modelle</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n runs chosen</source>
        <translation>
            <numerusform>%n Lauf gewählt</numerusform>
            <numerusform>%n Läufe gewählt</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n runs on this computer</source>
        <translation>
            <numerusform>%n Lauf auf diesem Computer</numerusform>
            <numerusform>%n Läufe auf diesem Computer</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n runs side by side</source>
        <translation>
            <numerusform>%n Lauf im Vergleich</numerusform>
            <numerusform>%n Läufe im Vergleich</numerusform>
        </translation>
    </message>
    <message>
        <source>&amp;Data</source>
        <translation>&amp;Daten</translation>
    </message>
    <message>
        <source>&amp;Folder</source>
        <translation>&amp;Ordner</translation>
    </message>
    <message>
        <source>&amp;Iterations</source>
        <translation>&amp;Iterationen</translation>
    </message>
    <message>
        <source>&amp;Length</source>
        <translation>&amp;Länge</translation>
    </message>
    <message>
        <source>&amp;Rows</source>
        <translation>&amp;Zeilen</translation>
    </message>
    <message>
        <source>&amp;Scale per</source>
        <translation>&amp;Skala je</translation>
    </message>
    <message>
        <source>&apos;builtin&apos; (the app&apos;s own text), &apos;wikitext-2&apos;, &apos;c4&apos;, or a .txt, .jsonl, .parquet or .raw file</source>
        <translation>„builtin“ (der Text des Programms), „wikitext-2“, „c4“ oder eine Datei mit .txt, .jsonl, .parquet oder .raw</translation>
    </message>
    <message>
        <source>&apos;hadamard&apos; first mixes all channels by one transform at run time; &apos;block-hadamard&apos; mixes inside the blocks only</source>
        <translation>„hadamard“ mischt zuerst alle Kanäle mit einer Transformation zur Laufzeit; „block-hadamard“ mischt nur innerhalb der Blöcke</translation>
    </message>
    <message>
        <source>&apos;kl-divergence&apos; from the original&apos;s predictions, or &apos;cross-entropy&apos; of the text (SpinQuant)</source>
        <translation>„kl-divergence“ zu den Vorhersagen des Originals oder „cross-entropy“ des Textes (SpinQuant)</translation>
    </message>
    <message>
        <source>&apos;library:&apos; and a name in the rotation library, a .safetensors file with R1, or a .npy file with one square matrix</source>
        <translation>„library:“ und ein Name aus der Rotationsbibliothek, eine .safetensors-Datei mit R1 oder eine .npy-Datei mit einer quadratischen Matrix</translation>
    </message>
    <message>
        <source>&apos;per-head&apos;: one for each token and head, computed at run time; &apos;per-tensor&apos;, for fp8: one for the keys and one for the values of each block, measured on the calibration text and written</source>
        <translation>„per-head“: eine für jedes Token und jeden Kopf, zur Laufzeit berechnet; „per-tensor“, für fp8: je eine für Keys und Values jedes Blocks, am Kalibriertext gemessen und mitgeschrieben</translation>
    </message>
    <message>
        <source>(empty)</source>
        <translation>(leer)</translation>
    </message>
    <message>
        <source>0 takes the likeliest token every time; with more, both models draw alike</source>
        <translation>0 nimmt jedes Mal das wahrscheinlichste Token; mit mehr ziehen beide Modelle dieselben Zufallszahlen</translation>
    </message>
    <message>
        <source>16-bit KV cache</source>
        <translation>KV-Cache in 16 Bit</translation>
    </message>
    <message>
        <source>16-bit activations</source>
        <translation>Aktivierungen in 16 Bit</translation>
    </message>
    <message>
        <source>2-bit activations</source>
        <translation>Aktivierungen in 2 Bit</translation>
    </message>
    <message>
        <source>3-bit activations</source>
        <translation>Aktivierungen in 3 Bit</translation>
    </message>
    <message>
        <source>4-bit activations</source>
        <translation>Aktivierungen in 4 Bit</translation>
    </message>
    <message>
        <source>4-bit weights and activations everywhere: R4 travels in the checkpoint; transformers needs trust_remote_code, vLLM one GPU.</source>
        <translation>Gewichte und Aktivierungen überall in 4 Bit: R4 reist im Checkpoint mit; transformers braucht trust_remote_code, vLLM eine einzelne GPU.</translation>
    </message>
    <message>
        <source>4-bit weights and activations, 8 bits before down_proj, which only R4 reaches: transformers loads it, vLLM with 16-bit activations.</source>
        <translation>Gewichte und Aktivierungen in 4 Bit, 8 Bit vor down_proj, das nur R4 erreicht: transformers lädt es, vLLM mit Aktivierungen in 16 Bit.</translation>
    </message>
    <message>
        <source>4-bit weights only: a quarter of the memory, and every runtime loads it.</source>
        <translation>Nur die Gewichte in 4 Bit: ein Viertel des Speichers, und jede Laufzeitumgebung lädt es.</translation>
    </message>
    <message>
        <source>4-bit weights, 8-bit activations: transformers loads it, vLLM with 16-bit activations.</source>
        <translation>Gewichte in 4 Bit, Aktivierungen in 8 Bit: transformers lädt es, vLLM mit Aktivierungen in 16 Bit.</translation>
    </message>
    <message>
        <source>5-bit activations</source>
        <translation>Aktivierungen in 5 Bit</translation>
    </message>
    <message>
        <source>6-bit activations</source>
        <translation>Aktivierungen in 6 Bit</translation>
    </message>
    <message>
        <source>7-bit activations</source>
        <translation>Aktivierungen in 7 Bit</translation>
    </message>
    <message>
        <source>8-bit activations</source>
        <translation>Aktivierungen in 8 Bit</translation>
    </message>
    <message>
        <source>8-bit weights per channel and 8-bit activations: nearly lossless, and what most GPUs run fastest; transformers and vLLM load it.</source>
        <translation>Gewichte in 8 Bit je Kanal, Aktivierungen in 8 Bit: fast ohne Verlust und auf den meisten GPUs am schnellsten; transformers und vLLM laden es.</translation>
    </message>
    <message>
        <source>99.9 %</source>
        <translation>99,9 %</translation>
    </message>
    <message>
        <source>A .safetensors or .npy file</source>
        <translation>Eine .safetensors- oder .npy-Datei</translation>
    </message>
    <message>
        <source>A random Hadamard matrix. Fast, no training.</source>
        <translation>Eine zufällige Hadamard-Matrix. Schnell, ohne Training.</translation>
    </message>
    <message>
        <source>A random orthogonal matrix.</source>
        <translation>Eine zufällige orthogonale Matrix.</translation>
    </message>
    <message>
        <source>A repository that already holds files is made to hold this folder instead</source>
        <translation>Ein Repository, in dem schon Dateien liegen, hält danach stattdessen diesen Ordner</translation>
    </message>
    <message>
        <source>A run downloads by itself; this is for before</source>
        <translation>Ein Lauf lädt von selbst herunter; dies ist für vorher</translation>
    </message>
    <message>
        <source>A run is going on</source>
        <translation>Ein Lauf ist im Gange</translation>
    </message>
    <message>
        <source>A run is going on.</source>
        <translation>Ein Lauf ist im Gange.</translation>
    </message>
    <message>
        <source>A saved R1: &apos;library:&apos; and its name in the rotation library, or a .safetensors or .npy file. Used when the start is from-file</source>
        <translation>Eine gespeicherte R1: „library:“ und ihr Name in der Rotationsbibliothek, oder eine .safetensors- oder .npy-Datei. Gilt, wenn der Start from-file ist</translation>
    </message>
    <message>
        <source>About and this computer…</source>
        <translation>Über das Programm und diesen Computer…</translation>
    </message>
    <message>
        <source>About {duration} on this computer</source>
        <translation>Etwa {duration} auf diesem Computer</translation>
    </message>
    <message>
        <source>About {product}</source>
        <translation>Über {product}</translation>
    </message>
    <message>
        <source>Access token</source>
        <translation>Zugangstoken</translation>
    </message>
    <message>
        <source>Activation rows for the comparison with other rotations; learning takes whole sequences</source>
        <translation>Zeilen der Aktivierungen für den Vergleich mit anderen Rotationen; gelernt wird aus ganzen Sequenzen</translation>
    </message>
    <message>
        <source>Activation rows the refinement learns from</source>
        <translation>Zeilen der Aktivierungen, aus denen die Verfeinerung lernt</translation>
    </message>
    <message>
        <source>Activations</source>
        <translation>Aktivierungen</translation>
    </message>
    <message>
        <source>Add learned rotations to the library</source>
        <translation>Gelernte Rotationen in die Bibliothek aufnehmen</translation>
    </message>
    <message>
        <source>Advanced</source>
        <translation>Erweitert</translation>
    </message>
    <message>
        <source>All</source>
        <translation>Alle</translation>
    </message>
    <message>
        <source>All families</source>
        <translation>Alle Familien</translation>
    </message>
    <message>
        <source>All fields</source>
        <translation>Alle Felder</translation>
    </message>
    <message>
        <source>All runs</source>
        <translation>Alle Läufe</translation>
    </message>
    <message>
        <source>All tokens</source>
        <translation>Alle Token</translation>
    </message>
    <message>
        <source>Also measure NR, RO and RH for comparison</source>
        <translation>NR, RO und RH zum Vergleich mitmessen</translation>
    </message>
    <message>
        <source>Also without a proof</source>
        <translation>Auch ohne Nachweis</translation>
    </message>
    <message>
        <source>Angle of the first step, in radians</source>
        <translation>Winkel des ersten Schritts, im Bogenmaß</translation>
    </message>
    <message>
        <source>Another run is going on in this window; this one can be opened when it has ended.</source>
        <translation>In diesem Fenster ist ein anderer Lauf im Gange; dieser lässt sich öffnen, wenn er beendet ist.</translation>
    </message>
    <message>
        <source>Answer of the original model</source>
        <translation>Antwort des Originals</translation>
    </message>
    <message>
        <source>Answer of the quantized model</source>
        <translation>Antwort des quantisierten Modells</translation>
    </message>
    <message>
        <source>Any size</source>
        <translation>Jede Größe</translation>
    </message>
    <message>
        <source>Apache-2.0 · quantizes language models with rotations · arXiv:2412.00648</source>
        <translation>Apache-2.0 · quantisiert Sprachmodelle mit Rotationen · arXiv:2412.00648</translation>
    </message>
    <message>
        <source>Appearance</source>
        <translation>Erscheinungsbild</translation>
    </message>
    <message>
        <source>Arcee</source>
        <translation>Arcee</translation>
    </message>
    <message>
        <source>Architecture</source>
        <translation>Architektur</translation>
    </message>
    <message>
        <source>As a chat</source>
        <translation>Als Chat</translation>
    </message>
    <message>
        <source>As the system</source>
        <translation>Wie das System</translation>
    </message>
    <message>
        <source>As they are</source>
        <translation>Wie sie sind</translation>
    </message>
    <message>
        <source>Ask both</source>
        <translation>Beide fragen</translation>
    </message>
    <message>
        <source>Ask both models</source>
        <translation>Beide Modelle fragen</translation>
    </message>
    <message>
        <source>Asked with the chat template.</source>
        <translation>Mit der Chat-Vorlage gefragt.</translation>
    </message>
    <message>
        <source>Asked with the chat template; one after the other, since the memory does not hold both.</source>
        <translation>Mit der Chat-Vorlage gefragt; nacheinander, weil der Speicher nicht für beide reicht.</translation>
    </message>
    <message>
        <source>Asked without a chat template.</source>
        <translation>Ohne Chat-Vorlage gefragt.</translation>
    </message>
    <message>
        <source>Asked without a chat template; one after the other, since the memory does not hold both.</source>
        <translation>Ohne Chat-Vorlage gefragt; nacheinander, weil der Speicher nicht für beide reicht.</translation>
    </message>
    <message>
        <source>Asking the Hub…</source>
        <translation>Der Hub wird gefragt…</translation>
    </message>
    <message>
        <source>At least {duration} on this computer</source>
        <translation>Mindestens {duration} auf diesem Computer</translation>
    </message>
    <message>
        <source>At most this many refinements</source>
        <translation>Höchstens so viele Verfeinerungen</translation>
    </message>
    <message>
        <source>Attention</source>
        <translation>Attention</translation>
    </message>
    <message>
        <source>Average bits of a weight</source>
        <translation>Bit je Gewicht im Mittel</translation>
    </message>
    <message>
        <source>Back to the list of runs (Esc)</source>
        <translation>Zurück zur Liste der Läufe (Esc)</translation>
    </message>
    <message>
        <source>Back to the preset it began as</source>
        <translation>Zurück zur Vorlage, mit der es begann</translation>
    </message>
    <message>
        <source>Batch</source>
        <translation>Batch</translation>
    </message>
    <message>
        <source>Best loss</source>
        <translation>Kleinster Verlust</translation>
    </message>
    <message>
        <source>Bits</source>
        <translation>Bit</translation>
    </message>
    <message>
        <source>Block</source>
        <translation>Block</translation>
    </message>
    <message>
        <source>Block error</source>
        <translation>Fehler des Blocks</translation>
    </message>
    <message>
        <source>Block size</source>
        <translation>Blockgröße</translation>
    </message>
    <message>
        <source>Both wrote the same, to the letter.</source>
        <translation>Beide haben wortwörtlich dasselbe geschrieben.</translation>
    </message>
    <message>
        <source>Branch, tag or commit on the Hub</source>
        <translation>Branch, Tag oder Commit auf dem Hub</translation>
    </message>
    <message>
        <source>Branch, tag or commit; any commit can be typed in full</source>
        <translation>Branch, Tag oder Commit; jeder Commit lässt sich ausgeschrieben eingeben</translation>
    </message>
    <message>
        <source>Built-in text</source>
        <translation>Mitgelieferter Text</translation>
    </message>
    <message>
        <source>By model</source>
        <translation>Nach Modell</translation>
    </message>
    <message>
        <source>By number of parameters; models of unknown size are left out</source>
        <translation>Nach Zahl der Parameter; Modelle unbekannter Größe fallen weg</translation>
    </message>
    <message>
        <source>By recipe</source>
        <translation>Nach Rezept</translation>
    </message>
    <message>
        <source>By state</source>
        <translation>Nach Zustand</translation>
    </message>
    <message>
        <source>By the table of runtimes; the buttons copy the commands.</source>
        <translation>Nach der Tabelle der Laufzeitumgebungen; die Knöpfe kopieren die Befehle.</translation>
    </message>
    <message>
        <source>Bytes, or like 4GB; the rest goes to the work folder. auto takes half of what is free</source>
        <translation>Bytes, oder wie 4GB; der Rest kommt in den Arbeitsordner. auto nimmt die Hälfte des freien Speichers</translation>
    </message>
    <message>
        <source>C4 (en)</source>
        <translation>C4 (en)</translation>
    </message>
    <message>
        <source>CPU threads</source>
        <translation>CPU-Threads</translation>
    </message>
    <message numerus="yes">
        <source>CPU · %n cores</source>
        <translation>
            <numerusform>CPU · %n Kern</numerusform>
            <numerusform>CPU · %n Kerne</numerusform>
        </translation>
    </message>
    <message>
        <source>CSV table (*.csv)</source>
        <translation>CSV-Tabelle (*.csv)</translation>
    </message>
    <message>
        <source>CWM</source>
        <translation>CWM</translation>
    </message>
    <message>
        <source>Calibrate</source>
        <translation>Kalibrieren</translation>
    </message>
    <message>
        <source>Calibration</source>
        <translation>Kalibrierung</translation>
    </message>
    <message>
        <source>Calibration sequences drawn for each step</source>
        <translation>Kalibriersequenzen, die für jeden Schritt gezogen werden</translation>
    </message>
    <message>
        <source>Can be resumed</source>
        <translation>Fortsetzbar</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>Abbrechen</translation>
    </message>
    <message>
        <source>Cayley  SpinQuant</source>
        <translation>Cayley  SpinQuant</translation>
    </message>
    <message>
        <source>Changed</source>
        <translation>Geändert</translation>
    </message>
    <message>
        <source>Channel</source>
        <translation>Kanal</translation>
    </message>
    <message>
        <source>Channels that are mixed with each other</source>
        <translation>Kanäle, die miteinander gemischt werden</translation>
    </message>
    <message>
        <source>Check again</source>
        <translation>Erneut prüfen</translation>
    </message>
    <message>
        <source>Checking…</source>
        <translation>Es wird geprüft…</translation>
    </message>
    <message>
        <source>Checkpoint</source>
        <translation>Checkpoint</translation>
    </message>
    <message>
        <source>Choose a file…</source>
        <translation>Datei wählen…</translation>
    </message>
    <message>
        <source>Choose a model</source>
        <translation>Ein Modell wählen</translation>
    </message>
    <message>
        <source>Choose a model and a recipe, then start a run.</source>
        <translation>Wählen Sie Modell und Rezept, und starten Sie dann einen Lauf.</translation>
    </message>
    <message>
        <source>Choose a run; with Ctrl or Shift several, to compare them.</source>
        <translation>Wählen Sie einen Lauf; mit Strg oder Umschalt mehrere, um sie zu vergleichen.</translation>
    </message>
    <message>
        <source>Choose another one.</source>
        <translation>Wählen Sie ein anderes.</translation>
    </message>
    <message>
        <source>Choose one in the list, or open a folder.</source>
        <translation>Wählen Sie eines aus der Liste, oder öffnen Sie einen Ordner.</translation>
    </message>
    <message>
        <source>Choose: {name}</source>
        <translation>Wählen: {name}</translation>
    </message>
    <message>
        <source>Chooses the random rotation</source>
        <translation>Wählt die zufällige Rotation</translation>
    </message>
    <message>
        <source>Chooses the sequences</source>
        <translation>Wählt die Sequenzen</translation>
    </message>
    <message>
        <source>Choose…</source>
        <translation>Wählen…</translation>
    </message>
    <message>
        <source>Chosen</source>
        <translation>Gewählt</translation>
    </message>
    <message>
        <source>Chosen model</source>
        <translation>Gewähltes Modell</translation>
    </message>
    <message>
        <source>Clear</source>
        <translation>Leeren</translation>
    </message>
    <message>
        <source>Click a cell to keep it at 8 bits. Linears that runtimes run as one matrix are marked together.</source>
        <translation>Klicken Sie auf ein Feld, um es bei 8 Bit zu lassen. Linearschichten, die als eine Matrix gerechnet werden, werden zusammen markiert.</translation>
    </message>
    <message>
        <source>Clip</source>
        <translation>Begrenzung</translation>
    </message>
    <message>
        <source>Close</source>
        <translation>Schließen</translation>
    </message>
    <message>
        <source>Close other programs or choose fewer or shorter samples. {again}</source>
        <translation>Schließen Sie andere Programme, oder wählen Sie weniger oder kürzere Stichproben. {again}</translation>
    </message>
    <message>
        <source>Code that loads the checkpoint</source>
        <translation>Code, der den Checkpoint lädt</translation>
    </message>
    <message>
        <source>Cohere</source>
        <translation>Cohere</translation>
    </message>
    <message>
        <source>Column heads</source>
        <translation>Spaltenköpfe</translation>
    </message>
    <message>
        <source>Columns that share a scale</source>
        <translation>Spalten, die sich eine Skala teilen</translation>
    </message>
    <message>
        <source>Comes with the app</source>
        <translation>Gehört zum Programm</translation>
    </message>
    <message>
        <source>Command</source>
        <translation>Befehl</translation>
    </message>
    <message>
        <source>Compare</source>
        <translation>Vergleichen</translation>
    </message>
    <message>
        <source>Compare rotations for this recipe, without a run</source>
        <translation>Rotationen für dieses Rezept vergleichen, ohne Lauf</translation>
    </message>
    <message>
        <source>Compares every file with the hash that the run noted and, while the work folder is there, every tensor.</source>
        <translation>Vergleicht jede Datei mit der Prüfsumme, die der Lauf notiert hat, und jeden Tensor, solange der Arbeitsordner da ist.</translation>
    </message>
    <message>
        <source>Compares rotations for this recipe on a few blocks and tokens, in a minute or two.</source>
        <translation>Vergleicht Rotationen für dieses Rezept an einigen Blöcken und Token, in ein bis zwei Minuten.</translation>
    </message>
    <message>
        <source>Comparison</source>
        <translation>Vergleich</translation>
    </message>
    <message>
        <source>Continue with the recipe (Ctrl+2)</source>
        <translation>Weiter zum Rezept (Strg+2)</translation>
    </message>
    <message>
        <source>Copied</source>
        <translation>Kopiert</translation>
    </message>
    <message>
        <source>Copy</source>
        <translation>Kopieren</translation>
    </message>
    <message>
        <source>Copy diagnostics</source>
        <translation>Diagnose kopieren</translation>
    </message>
    <message>
        <source>Copy picture</source>
        <translation>Bild kopieren</translation>
    </message>
    <message>
        <source>Copy the code</source>
        <translation>Den Code kopieren</translation>
    </message>
    <message>
        <source>Copy the command for {who}</source>
        <translation>Den Befehl für {who} kopieren</translation>
    </message>
    <message>
        <source>Correct the errors first</source>
        <translation>Beheben Sie zuerst die Fehler</translation>
    </message>
    <message>
        <source>Correct the problems first.</source>
        <translation>Beheben Sie zuerst die Probleme.</translation>
    </message>
    <message>
        <source>Correct this field.</source>
        <translation>Berichtigen Sie dieses Feld.</translation>
    </message>
    <message>
        <source>DFRot  Refined</source>
        <translation>DFRot  Verfeinert</translation>
    </message>
    <message>
        <source>Damping</source>
        <translation>Dämpfung</translation>
    </message>
    <message>
        <source>Dark</source>
        <translation>Dunkel</translation>
    </message>
    <message>
        <source>Data</source>
        <translation>Daten</translation>
    </message>
    <message>
        <source>Delete</source>
        <translation>Löschen</translation>
    </message>
    <message numerus="yes">
        <source>Delete %n runs and {size} of files?</source>
        <translation>
            <numerusform>Den Lauf und {size} an Dateien löschen?</numerusform>
            <numerusform>%n Läufe und {size} an Dateien löschen?</numerusform>
        </translation>
    </message>
    <message>
        <source>Delete a model</source>
        <translation>Ein Modell löschen</translation>
    </message>
    <message>
        <source>Delete with its files, after asking (Del)</source>
        <translation>Mit den Dateien löschen, nach Rückfrage (Entf)</translation>
    </message>
    <message>
        <source>Delete {model} from the Hub cache?</source>
        <translation>{model} aus dem Cache des Hubs löschen?</translation>
    </message>
    <message>
        <source>Delete…</source>
        <translation>Löschen…</translation>
    </message>
    <message>
        <source>Descent</source>
        <translation>Abstieg</translation>
    </message>
    <message>
        <source>Device</source>
        <translation>Gerät</translation>
    </message>
    <message>
        <source>Download</source>
        <translation>Herunterladen</translation>
    </message>
    <message>
        <source>Download of {model}: {text}</source>
        <translation>Herunterladen von {model}: {text}</translation>
    </message>
    <message>
        <source>Download {size}</source>
        <translation>{size} herunterladen</translation>
    </message>
    <message>
        <source>Downloaded</source>
        <translation>Heruntergeladen</translation>
    </message>
    <message>
        <source>Downloading {model}</source>
        <translation>{model} wird heruntergeladen</translation>
    </message>
    <message>
        <source>Drawn anew for each step of the descent</source>
        <translation>Für jeden Schritt des Abstiegs neu gezogen</translation>
    </message>
    <message>
        <source>Duration</source>
        <translation>Dauer</translation>
    </message>
    <message>
        <source>Error</source>
        <translation>Fehler</translation>
    </message>
    <message>
        <source>Error behind the last block</source>
        <translation>Fehler hinter dem letzten Block</translation>
    </message>
    <message>
        <source>Error of every token</source>
        <translation>Fehler jedes Tokens</translation>
    </message>
    <message>
        <source>Error per block</source>
        <translation>Fehler je Block</translation>
    </message>
    <message>
        <source>Errors under no, a random orthogonal and a Hadamard rotation, on the same tokens</source>
        <translation>Fehler ohne, mit zufälliger orthogonaler und mit Hadamard-Rotation, an denselben Token</translation>
    </message>
    <message>
        <source>Estimated memory {size} of {total}</source>
        <translation>Geschätzter Speicher {size} von {total}</translation>
    </message>
    <message>
        <source>Evaluate</source>
        <translation>Auswerten</translation>
    </message>
    <message>
        <source>Evaluation</source>
        <translation>Auswertung</translation>
    </message>
    <message>
        <source>Evens values out, whatever the quantizer.</source>
        <translation>Gleicht Werte aus, gleich wie gerundet wird.</translation>
    </message>
    <message>
        <source>Every field of the recipe and of the run&apos;s options</source>
        <translation>Alle Felder des Rezepts und der Optionen des Laufs</translation>
    </message>
    <message>
        <source>Every run on this computer appears here, also those of the command line.</source>
        <translation>Hier erscheint jeder Lauf dieses Computers, auch von der Befehlszeile.</translation>
    </message>
    <message>
        <source>Everything finished so far is kept; it goes on where it stopped.</source>
        <translation>Alles bisher Fertige bleibt erhalten; er geht dort weiter, wo er anhielt.</translation>
    </message>
    <message>
        <source>Everything that could be checked is right ({passed} of {count} checks done).</source>
        <translation>Alles, was sich prüfen ließ, stimmt ({passed} von {count} Prüfungen durchgeführt).</translation>
    </message>
    <message>
        <source>Examples</source>
        <translation>Beispiele</translation>
    </message>
    <message>
        <source>Except {linears}: {bits}</source>
        <translation>Außer {linears}: {bits}</translation>
    </message>
    <message>
        <source>Exceptions</source>
        <translation>Ausnahmen</translation>
    </message>
    <message>
        <source>Explain in three sentences why the sky is blue.</source>
        <translation>Erkläre in drei Sätzen, warum der Himmel blau ist.</translation>
    </message>
    <message>
        <source>Export</source>
        <translation>Exportieren</translation>
    </message>
    <message>
        <source>FAILED</source>
        <translation>NICHT BESTANDEN</translation>
    </message>
    <message>
        <source>FILES</source>
        <translation>DATEIEN</translation>
    </message>
    <message>
        <source>Failed</source>
        <translation>Fehlgeschlagen</translation>
    </message>
    <message>
        <source>Families of models whose tensors are known</source>
        <translation>Modellfamilien, deren Tensoren bekannt sind</translation>
    </message>
    <message>
        <source>Family</source>
        <translation>Familie</translation>
    </message>
    <message>
        <source>Fastest</source>
        <translation>Schnellste</translation>
    </message>
    <message>
        <source>Fields of the recipe; the others are the same</source>
        <translation>Felder des Rezepts; die übrigen sind gleich</translation>
    </message>
    <message>
        <source>Files</source>
        <translation>Dateien</translation>
    </message>
    <message>
        <source>Files are as written</source>
        <translation>Dateien sind, wie sie geschrieben wurden</translation>
    </message>
    <message>
        <source>Files to write</source>
        <translation>Zu schreibende Dateien</translation>
    </message>
    <message>
        <source>Filter by model, recipe or folder</source>
        <translation>Nach Modell, Rezept oder Ordner filtern</translation>
    </message>
    <message>
        <source>Filter runs</source>
        <translation>Läufe filtern</translation>
    </message>
    <message>
        <source>Finished</source>
        <translation>Fertig</translation>
    </message>
    <message>
        <source>Finished in {duration}</source>
        <translation>Fertig in {duration}</translation>
    </message>
    <message>
        <source>Fits this computer</source>
        <translation>Passt auf diesen Computer</translation>
    </message>
    <message>
        <source>Folder gone</source>
        <translation>Ordner fehlt</translation>
    </message>
    <message>
        <source>Follows the gradient of the real rounding error.</source>
        <translation>Folgt dem Gradienten des wahren Rundungsfehlers.</translation>
    </message>
    <message>
        <source>For building and measuring it here, with fewer refinements than in a run</source>
        <translation>Um sie hier zu bilden und zu messen, mit weniger Verfeinerungen als in einem Lauf</translation>
    </message>
    <message>
        <source>For each block</source>
        <translation>Für jeden Block</translation>
    </message>
    <message>
        <source>For gated and private models</source>
        <translation>Für geschützte und private Modelle</translation>
    </message>
    <message>
        <source>For models of any width.</source>
        <translation>Für Modelle jeder Breite.</translation>
    </message>
    <message>
        <source>For {id}, whose R1 has {hidden_size:,} rows.</source>
        <translation>Für {id}, dessen R1 {hidden_size:,} Zeilen hat.</translation>
    </message>
    <message>
        <source>Format</source>
        <translation>Format</translation>
    </message>
    <message>
        <source>Found</source>
        <translation>Gefunden</translation>
    </message>
    <message>
        <source>From file</source>
        <translation>Aus Datei</translation>
    </message>
    <message>
        <source>GGUF files (*.gguf)</source>
        <translation>GGUF-Dateien (*.gguf)</translation>
    </message>
    <message>
        <source>GPTQ and Qronos look at the calibration text: slower, and usually much closer</source>
        <translation>GPTQ und Qronos sehen sich den Kalibriertext an: langsamer und meist viel genauer</translation>
    </message>
    <message>
        <source>GPU, peak {size}</source>
        <translation>GPU, Spitze {size}</translation>
    </message>
    <message>
        <source>GPUs</source>
        <translation>GPUs</translation>
    </message>
    <message>
        <source>Gated</source>
        <translation>Geschützt</translation>
    </message>
    <message>
        <source>Gated and private models need an access token with the right to read. It is kept by the Hub&apos;s own client, as `hf auth login` does, and nowhere else.</source>
        <translation>Geschützte und private Modelle brauchen ein Zugangstoken mit Leserecht. Es wird vom Programm des Hubs verwahrt, so wie es `hf auth login` tut, und nirgends sonst.</translation>
    </message>
    <message>
        <source>Gemma</source>
        <translation>Gemma</translation>
    </message>
    <message>
        <source>Give these linears the same formats as all others</source>
        <translation>Diesen Linearschichten dieselben Formate geben wie allen anderen</translation>
    </message>
    <message>
        <source>Globs of linears that stay as they are</source>
        <translation>Muster für Linearschichten, die bleiben, wie sie sind</translation>
    </message>
    <message>
        <source>Go on where it stopped</source>
        <translation>Dort weitermachen, wo er anhielt</translation>
    </message>
    <message>
        <source>Go on; everything finished so far is kept</source>
        <translation>Weitermachen; alles bisher Fertige bleibt erhalten</translation>
    </message>
    <message>
        <source>Go to the field this belongs to</source>
        <translation>Zum Feld gehen, um das es geht</translation>
    </message>
    <message>
        <source>Go to the field {field}</source>
        <translation>Zum Feld {field} gehen</translation>
    </message>
    <message>
        <source>Go to the recipe</source>
        <translation>Zum Rezept</translation>
    </message>
    <message>
        <source>Go to the run</source>
        <translation>Zum Lauf</translation>
    </message>
    <message>
        <source>Granite</source>
        <translation>Granite</translation>
    </message>
    <message>
        <source>Group of {size}</source>
        <translation>Gruppe von {size}</translation>
    </message>
    <message>
        <source>Group size</source>
        <translation>Gruppengröße</translation>
    </message>
    <message>
        <source>HTML page (*.html)</source>
        <translation>HTML-Seite (*.html)</translation>
    </message>
    <message>
        <source>Hadamard</source>
        <translation>Hadamard</translation>
    </message>
    <message>
        <source>Hadamard, in blocks</source>
        <translation>Hadamard, in Blöcken</translation>
    </message>
    <message>
        <source>Helium</source>
        <translation>Helium</translation>
    </message>
    <message>
        <source>Help</source>
        <translation>Hilfe</translation>
    </message>
    <message>
        <source>Help (F1)</source>
        <translation>Hilfe (F1)</translation>
    </message>
    <message>
        <source>Help: the language changes at the next start</source>
        <translation>Hilfe: die Sprache wechselt beim nächsten Start</translation>
    </message>
    <message>
        <source>History</source>
        <translation>Verlauf</translation>
    </message>
    <message>
        <source>Hold the download; what is there stays</source>
        <translation>Das Herunterladen anhalten; was da ist, bleibt</translation>
    </message>
    <message>
        <source>Hold the run; the memory stays in use</source>
        <translation>Den Lauf anhalten; der Speicher bleibt belegt</translation>
    </message>
    <message>
        <source>Holds no token and no path of your home folder</source>
        <translation>Enthält kein Token und keinen Pfad Ihres Benutzerordners</translation>
    </message>
    <message>
        <source>Householder</source>
        <translation>Householder</translation>
    </message>
    <message>
        <source>How far what a block adds to a token is off after rounding; the advice rests on it</source>
        <translation>Wie weit das, was ein Block einem Token hinzufügt, nach dem Runden danebenliegt; darauf beruht der Rat</translation>
    </message>
    <message>
        <source>How many share the run on this computer; each takes a GPU of its own where GPUs are used</source>
        <translation>Wie viele sich den Lauf auf diesem Computer teilen; jeder nimmt eine eigene GPU, wo GPUs benutzt werden</translation>
    </message>
    <message>
        <source>How much each linear suffers from rounding is drawn here once it was measured.</source>
        <translation>Hier wird gezeichnet, wie sehr jede Linearschicht unter dem Runden leidet, sobald es gemessen ist.</translation>
    </message>
    <message>
        <source>How much more a massive token&apos;s error counts; 50 to 200 is a plateau. &apos;auto&apos; makes them count as much as all the others together</source>
        <translation>Wie viel mehr der Fehler eines massiven Tokens zählt; 50 bis 200 ist ein Plateau. „auto“ lässt sie so viel zählen wie alle anderen zusammen</translation>
    </message>
    <message>
        <source>How {name} will be rotated and quantized.</source>
        <translation>Wie {name} rotiert und quantisiert wird.</translation>
    </message>
    <message>
        <source>Hub id, folder with safetensors, GGUF file, or &apos;sample&apos; for the model that ships with the app</source>
        <translation>Id auf dem Hub, Ordner mit safetensors, GGUF-Datei oder „sample“ für das mitgelieferte Modell</translation>
    </message>
    <message>
        <source>Hugging Face account</source>
        <translation>Konto bei Hugging Face</translation>
    </message>
    <message>
        <source>Idefics</source>
        <translation>Idefics</translation>
    </message>
    <message>
        <source>In {duration}. {headline}</source>
        <translation>In {duration}. {headline}</translation>
    </message>
    <message>
        <source>Install the program again.</source>
        <translation>Installieren Sie das Programm neu.</translation>
    </message>
    <message>
        <source>Interrupted</source>
        <translation>Unterbrochen</translation>
    </message>
    <message>
        <source>Is it still what was written?</source>
        <translation>Ist es noch, was geschrieben wurde?</translation>
    </message>
    <message>
        <source>It can go on in the background; History shows it when the window is opened again. If you stop it, everything finished so far is kept and it can be resumed later.</source>
        <translation>Er kann im Hintergrund weitergehen; der Verlauf zeigt ihn, wenn das Fenster wieder geöffnet wird. Wenn Sie ihn stoppen, bleibt alles bisher Fertige erhalten, und er lässt sich später fortsetzen.</translation>
    </message>
    <message>
        <source>It is not what was written. Do not use it.</source>
        <translation>Es ist nicht, was geschrieben wurde. Benutzen Sie es nicht.</translation>
    </message>
    <message>
        <source>It writes sensible text</source>
        <translation>Es schreibt sinnvollen Text</translation>
    </message>
    <message>
        <source>Iterations</source>
        <translation>Iterationen</translation>
    </message>
    <message>
        <source>Its conditions are accepted there</source>
        <translation>Dort werden die Bedingungen angenommen</translation>
    </message>
    <message>
        <source>Its numbers can be watched.</source>
        <translation>Seine Zahlen lassen sich beobachten.</translation>
    </message>
    <message>
        <source>Its rotations and the folding of its norms are known. Only headers have been read so far.</source>
        <translation>Seine Rotationen und das Einrechnen seiner Normen sind bekannt. Bisher wurden nur Kopfdaten gelesen.</translation>
    </message>
    <message>
        <source>KL</source>
        <translation>KL</translation>
    </message>
    <message>
        <source>KL divergence</source>
        <translation>KL-Divergenz</translation>
    </message>
    <message>
        <source>KL divergence in nats a token, over {tokens:,} tokens of the calibration text.</source>
        <translation>KL-Divergenz in Nat je Token, über {tokens:,} Token des Kalibriertextes.</translation>
    </message>
    <message>
        <source>KL divergence {value:.3g} nats</source>
        <translation>KL-Divergenz {value:.3g} Nat</translation>
    </message>
    <message>
        <source>KL divergence × 1,000</source>
        <translation>KL-Divergenz × 1.000</translation>
    </message>
    <message>
        <source>KV cache</source>
        <translation>KV-Cache</translation>
    </message>
    <message>
        <source>Keep</source>
        <translation>Behalten</translation>
    </message>
    <message>
        <source>Keep running in the background</source>
        <translation>Im Hintergrund weiterlaufen lassen</translation>
    </message>
    <message>
        <source>Keep the intermediate files after a finished run</source>
        <translation>Zwischendateien nach einem fertigen Lauf behalten</translation>
    </message>
    <message>
        <source>Kind</source>
        <translation>Art</translation>
    </message>
    <message>
        <source>LLaVA</source>
        <translation>LLaVA</translation>
    </message>
    <message>
        <source>Language</source>
        <translation>Sprache</translation>
    </message>
    <message>
        <source>Larger than memory</source>
        <translation>Größer als der Speicher</translation>
    </message>
    <message>
        <source>Largest inputs first</source>
        <translation>Größte Eingaben zuerst</translation>
    </message>
    <message>
        <source>Largest |h|</source>
        <translation>Größtes |h|</translation>
    </message>
    <message>
        <source>0 takes every core, or OMP_NUM_THREADS</source>
        <translation>0 nimmt alle Kerne, oder so viele, wie OMP_NUM_THREADS sagt</translation>
    </message>
    <message>
        <source>All blocks</source>
        <translation>Alle Blöcke</translation>
    </message>
    <message>
        <source>All inputs</source>
        <translation>Alle Eingänge</translation>
    </message>
    <message>
        <source>Arrow keys move over the tokens; Enter shows one in full, Escape closes it.</source>
        <translation>Pfeiltasten gehen über die Token; Eingabe zeigt eines ganz, Escape schließt es.</translation>
    </message>
    <message>
        <source>Attention input</source>
        <translation>Eingang der Attention</translation>
    </message>
    <message>
        <source>Block input</source>
        <translation>Eingang des Blocks</translation>
    </message>
    <message>
        <source>Block {block}</source>
        <translation>Block {block}</translation>
    </message>
    <message>
        <source>Block {block} · position {position} · largest |h| {value:,.1f}</source>
        <translation>Block {block} · Position {position} · größtes |h| {value:,.1f}</translation>
    </message>
    <message>
        <source>Block {block} · position {position} · largest |h| {value:,.1f} · massive</source>
        <translation>Block {block} · Position {position} · größtes |h| {value:,.1f} · massiv</translation>
    </message>
    <message>
        <source>Block {block}, each on its own inputs</source>
        <translation>Block {block}, jede mit ihren eigenen Eingaben</translation>
    </message>
    <message>
        <source>Calibration has not kept this token, so its errors are not known.</source>
        <translation>Die Kalibrierung hat dieses Token nicht aufgehoben, daher sind seine Fehler nicht bekannt.</translation>
    </message>
    <message>
        <source>Click a block for its linears</source>
        <translation>Ein Klick auf einen Block zeigt seine Linearschichten</translation>
    </message>
    <message>
        <source>Close (Escape)</source>
        <translation>Schließen (Escape)</translation>
    </message>
    <message>
        <source>Close the token</source>
        <translation>Das Token schließen</translation>
    </message>
    <message>
        <source>Could be better: {names}.</source>
        <translation>Könnte besser sein: {names}.</translation>
    </message>
    <message>
        <source>Does it load here?</source>
        <translation>Lädt es hier?</translation>
    </message>
    <message>
        <source>Error per linear</source>
        <translation>Fehler je Linearschicht</translation>
    </message>
    <message>
        <source>Files that are meant</source>
        <translation>Gemeinte Dateien</translation>
    </message>
    <message>
        <source>Got it</source>
        <translation>Verstanden</translation>
    </message>
    <message>
        <source>Input</source>
        <translation>Eingang</translation>
    </message>
    <message>
        <source>Install a runtime</source>
        <translation>Laufzeit installieren</translation>
    </message>
    <message>
        <source>Its errors appear here once the rotations have been compared.</source>
        <translation>Seine Fehler erscheinen hier, sobald die Rotationen verglichen sind.</translation>
    </message>
    <message>
        <source>Largest |h| in front of each block; triangles are massive tokens. Click a token for its errors.</source>
        <translation>Größtes |h| vor jedem Block; Dreiecke sind massive Token. Ein Klick zeigt die Fehler eines Tokens.</translation>
    </message>
    <message>
        <source>Layers × hidden</source>
        <translation>Schichten × Breite</translation>
    </message>
    <message>
        <source>Learning rate</source>
        <translation>Lernrate</translation>
    </message>
    <message>
        <source>Learns through the whole model. Slow.</source>
        <translation>Lernt durch das ganze Modell. Langsam.</translation>
    </message>
    <message>
        <source>Leaving the run to itself…</source>
        <translation>Der Lauf wird sich selbst überlassen…</translation>
    </message>
    <message>
        <source>Left alone</source>
        <translation>Ausgelassen</translation>
    </message>
    <message>
        <source>Length</source>
        <translation>Länge</translation>
    </message>
    <message>
        <source>Licence</source>
        <translation>Lizenz</translation>
    </message>
    <message>
        <source>Licences</source>
        <translation>Lizenzen</translation>
    </message>
    <message>
        <source>License</source>
        <translation>Lizenz</translation>
    </message>
    <message>
        <source>Light</source>
        <translation>Hell</translation>
    </message>
    <message>
        <source>Limit</source>
        <translation>Grenze</translation>
    </message>
    <message>
        <source>Linears</source>
        <translation>Linearschichten</translation>
    </message>
    <message>
        <source>Llama</source>
        <translation>Llama</translation>
    </message>
    <message>
        <source>Load</source>
        <translation>Laden</translation>
    </message>
    <message>
        <source>Load a recipe</source>
        <translation>Ein Rezept laden</translation>
    </message>
    <message>
        <source>Load its recipe on the Recipe page</source>
        <translation>Sein Rezept auf der Rezeptseite laden</translation>
    </message>
    <message>
        <source>Load recipe…</source>
        <translation>Rezept laden…</translation>
    </message>
    <message>
        <source>Load with</source>
        <translation>Laden mit</translation>
    </message>
    <message>
        <source>Loads the files with a runtime on this computer&apos;s CPU, apart from this program, and measures perplexity.</source>
        <translation>Lädt die Dateien mit einer Laufzeit auf der CPU dieses Computers, getrennt von diesem Programm, und misst die Perplexität.</translation>
    </message>
    <message>
        <source>Log</source>
        <translation>Protokoll</translation>
    </message>
    <message>
        <source>Looking at this computer…</source>
        <translation>Dieser Computer wird untersucht…</translation>
    </message>
    <message>
        <source>Looking for runs…</source>
        <translation>Läufe werden gesucht…</translation>
    </message>
    <message>
        <source>Loss</source>
        <translation>Verlust</translation>
    </message>
    <message>
        <source>Loss of the refinement</source>
        <translation>Verlust der Verfeinerung</translation>
    </message>
    <message>
        <source>Lowest KL</source>
        <translation>Kleinste KL</translation>
    </message>
    <message>
        <source>Lowest perplexity</source>
        <translation>Kleinste Perplexität</translation>
    </message>
    <message>
        <source>MEMORY ON THIS COMPUTER</source>
        <translation>SPEICHER AUF DIESEM COMPUTER</translation>
    </message>
    <message>
        <source>MLP channels</source>
        <translation>MLP-Kanäle</translation>
    </message>
    <message>
        <source>MLP input</source>
        <translation>Eingang des MLP</translation>
    </message>
    <message>
        <source>Make a token…</source>
        <translation>Token erstellen…</translation>
    </message>
    <message>
        <source>Makes large channels of down_proj&apos;s input smaller before they are rounded; folded into the weights</source>
        <translation>Verkleinert große Kanäle der Eingabe von down_proj vor dem Runden; in die Gewichte eingerechnet</translation>
    </message>
    <message>
        <source>Makes the common offset constant, then RH.</source>
        <translation>Macht den gemeinsamen Versatz konstant, dann RH.</translation>
    </message>
    <message>
        <source>Mark the worst</source>
        <translation>Die schlimmsten markieren</translation>
    </message>
    <message>
        <source>Mark what gains most for each bit, up to this average</source>
        <translation>Markieren, was je Bit am meisten gewinnt, bis zu diesem Mittel</translation>
    </message>
    <message>
        <source>Massive</source>
        <translation>Massive</translation>
    </message>
    <message>
        <source>Massive &amp;weight γ</source>
        <translation>Massi&amp;ves Gewicht γ</translation>
    </message>
    <message>
        <source>Massive activations</source>
        <translation>Massive Aktivierungen</translation>
    </message>
    <message>
        <source>Massive tokens</source>
        <translation>Massive Token</translation>
    </message>
    <message>
        <source>Massive tokens&apos; error</source>
        <translation>Fehler der massiven Token</translation>
    </message>
    <message>
        <source>Massive weight γ</source>
        <translation>Massives Gewicht γ</translation>
    </message>
    <message>
        <source>Massive-token error</source>
        <translation>Fehler massiver Token</translation>
    </message>
    <message>
        <source>Mean</source>
        <translation>Mittel</translation>
    </message>
    <message>
        <source>Mean error of a token&apos;s activations, ‖x − Q(x)‖/‖x‖</source>
        <translation>Mittlerer Fehler der Aktivierungen eines Tokens, ‖x − Q(x)‖/‖x‖</translation>
    </message>
    <message>
        <source>Mean error of the massive tokens</source>
        <translation>Mittlerer Fehler der massiven Token</translation>
    </message>
    <message>
        <source>Mean error per block</source>
        <translation>Mittlerer Fehler je Block</translation>
    </message>
    <message>
        <source>Mean relative error</source>
        <translation>Mittlerer relativer Fehler</translation>
    </message>
    <message>
        <source>Mean token error</source>
        <translation>Mittlerer Tokenfehler</translation>
    </message>
    <message>
        <source>Measure</source>
        <translation>Messen</translation>
    </message>
    <message>
        <source>Measure perplexity before and after</source>
        <translation>Perplexität vorher und nachher messen</translation>
    </message>
    <message>
        <source>Measured on {dataset}: {windows:,} windows of {seq_len:,} tokens, {tokens:,} predictions; {measured}.</source>
        <translation>Gemessen an {dataset}: {windows:,} Fenster zu {seq_len:,} Token, {tokens:,} Vorhersagen; {measured}.</translation>
    </message>
    <message>
        <source>Memory</source>
        <translation>Speicher</translation>
    </message>
    <message>
        <source>Memory for hidden states</source>
        <translation>Speicher für Zwischenzustände</translation>
    </message>
    <message>
        <source>Mistral</source>
        <translation>Mistral</translation>
    </message>
    <message>
        <source>Model</source>
        <translation>Modell</translation>
    </message>
    <message>
        <source>Models</source>
        <translation>Modelle</translation>
    </message>
    <message>
        <source>Most downloads</source>
        <translation>Am meisten heruntergeladen</translation>
    </message>
    <message>
        <source>Most likes</source>
        <translation>Am beliebtesten</translation>
    </message>
    <message>
        <source>NR  None</source>
        <translation>NR  Keine</translation>
    </message>
    <message>
        <source>Name</source>
        <translation>Name</translation>
    </message>
    <message>
        <source>Name a repository first</source>
        <translation>Nennen Sie zuerst ein Repository</translation>
    </message>
    <message>
        <source>Nearest</source>
        <translation>Nächster Wert</translation>
    </message>
    <message>
        <source>Needs no network</source>
        <translation>Braucht kein Netz</translation>
    </message>
    <message>
        <source>New here? Two clicks are enough for a first run</source>
        <translation>Neu hier? Zwei Klicks genügen für einen ersten Lauf</translation>
    </message>
    <message>
        <source>New recipe with these exceptions</source>
        <translation>Neues Rezept mit diesen Ausnahmen</translation>
    </message>
    <message>
        <source>Newest</source>
        <translation>Neueste</translation>
    </message>
    <message>
        <source>Newest first</source>
        <translation>Neueste zuerst</translation>
    </message>
    <message>
        <source>No file is deleted.</source>
        <translation>Es wird keine Datei gelöscht.</translation>
    </message>
    <message>
        <source>No files, only measurements</source>
        <translation>Keine Dateien, nur Messungen</translation>
    </message>
    <message>
        <source>No model chosen</source>
        <translation>Kein Modell gewählt</translation>
    </message>
    <message>
        <source>No model matches</source>
        <translation>Kein Modell passt</translation>
    </message>
    <message>
        <source>No results yet</source>
        <translation>Noch keine Ergebnisse</translation>
    </message>
    <message>
        <source>No rotation was used, and none that was measured would have lowered the mean token error.</source>
        <translation>Es wurde nicht rotiert, und keine gemessene Rotation hätte den mittleren Tokenfehler gesenkt.</translation>
    </message>
    <message>
        <source>No rotation was used; {name} would lower the mean token error from {mean:.4f} to {best:.4f}.</source>
        <translation>Es wurde nicht rotiert; {name} würde den mittleren Tokenfehler von {mean:.4f} auf {best:.4f} senken.</translation>
    </message>
    <message>
        <source>No rotation. The baseline that outliers break.</source>
        <translation>Keine Rotation. Die Grundlinie, die an Ausreißern scheitert.</translation>
    </message>
    <message>
        <source>No run fits. Choose another state or other words.</source>
        <translation>Kein Lauf passt. Wählen Sie einen anderen Zustand oder andere Wörter.</translation>
    </message>
    <message>
        <source>No runs yet</source>
        <translation>Noch keine Läufe</translation>
    </message>
    <message>
        <source>None</source>
        <translation>Keine</translation>
    </message>
    <message>
        <source>None of these runs has measured the errors of its tokens.</source>
        <translation>Keiner dieser Läufe hat die Fehler seiner Token gemessen.</translation>
    </message>
    <message>
        <source>None of these runs has quantized a block.</source>
        <translation>Keiner dieser Läufe hat einen Block quantisiert.</translation>
    </message>
    <message>
        <source>None of these runs has refined its rotation.</source>
        <translation>Keiner dieser Läufe hat seine Rotation verfeinert.</translation>
    </message>
    <message>
        <source>None yet. A run that learns a rotation of this width adds it here.</source>
        <translation>Noch keine. Ein Lauf, der eine Rotation dieser Breite lernt, fügt sie hier hinzu.</translation>
    </message>
    <message>
        <source>Not now</source>
        <translation>Nicht jetzt</translation>
    </message>
    <message>
        <source>Not on the list: look it up by its id</source>
        <translation>Nicht auf der Liste: suchen Sie es nach seiner Id</translation>
    </message>
    <message>
        <source>Not removed</source>
        <translation>Nicht entfernt</translation>
    </message>
    <message>
        <source>Not saved</source>
        <translation>Nicht gespeichert</translation>
    </message>
    <message>
        <source>Nothing has run yet</source>
        <translation>Noch ist nichts gelaufen</translation>
    </message>
    <message>
        <source>Nothing is marked yet. The recipe has {before:.2f} bits a weight on average, scales not counted.</source>
        <translation>Noch ist nichts markiert. Das Rezept hat {before:.2f} Bit je Gewicht im Mittel, Skalen nicht mitgezählt.</translation>
    </message>
    <message>
        <source>Nothing is written, so there is nothing to load. Add files to write to see which runtimes take them.</source>
        <translation>Es wird nichts geschrieben, also gibt es nichts zu laden. Wählen Sie Dateien, um zu sehen, welche Laufzeitumgebungen sie laden.</translation>
    </message>
    <message>
        <source>Nothing was written, so there is no model to ask.</source>
        <translation>Es wurde nichts geschrieben, also gibt es kein Modell zu fragen.</translation>
    </message>
    <message>
        <source>Number</source>
        <translation>Zahl</translation>
    </message>
    <message>
        <source>Numbers</source>
        <translation>Zahlen</translation>
    </message>
    <message>
        <source>OLMo</source>
        <translation>OLMo</translation>
    </message>
    <message>
        <source>Of</source>
        <translation>Von</translation>
    </message>
    <message>
        <source>Of Adam, for both factors</source>
        <translation>Von Adam, für beide Faktoren</translation>
    </message>
    <message>
        <source>Of each linear&apos;s factors</source>
        <translation>Der Faktoren jeder Linearschicht</translation>
    </message>
    <message>
        <source>Of each task that are run; 0 runs all</source>
        <translation>Von jeder Aufgabe, die laufen; 0 nimmt alle</translation>
    </message>
    <message>
        <source>Of lm-evaluation-harness, by name or as a .yaml file; run before and after</source>
        <translation>Von lm-evaluation-harness, als Name oder .yaml-Datei; vorher und nachher gemessen</translation>
    </message>
    <message>
        <source>Of what was written: &apos;full&apos; folds, reloads and lets it write; &apos;quick&apos; only reads the files back</source>
        <translation>Des Geschriebenen: „full“ rechnet nach, lädt neu und lässt schreiben; „quick“ liest nur die Dateien zurück</translation>
    </message>
    <message>
        <source>Oldest first</source>
        <translation>Älteste zuerst</translation>
    </message>
    <message>
        <source>On</source>
        <translation>Auf</translation>
    </message>
    <message>
        <source>One that a run has saved, or your own matrix.</source>
        <translation>Eine, die ein Lauf gespeichert hat, oder Ihre eigene Matrix.</translation>
    </message>
    <message>
        <source>One token in a thousand has a larger error</source>
        <translation>Ein Token von tausend hat einen größeren Fehler</translation>
    </message>
    <message>
        <source>Online; matters for a quantized KV cache</source>
        <translation>Online; zählt bei quantisiertem KV-Cache</translation>
    </message>
    <message>
        <source>Online; needs a runtime that applies it</source>
        <translation>Online; braucht eine Laufzeitumgebung, die sie anwendet</translation>
    </message>
    <message>
        <source>Only you see a repository that is made</source>
        <translation>Ein neu angelegtes Repository sehen nur Sie</translation>
    </message>
    <message>
        <source>Open</source>
        <translation>Öffnen</translation>
    </message>
    <message>
        <source>Open GGUF…</source>
        <translation>GGUF öffnen…</translation>
    </message>
    <message>
        <source>Open a GGUF file</source>
        <translation>Eine GGUF-Datei öffnen</translation>
    </message>
    <message>
        <source>Open a folder with safetensors (Ctrl+O)</source>
        <translation>Einen Ordner mit safetensors öffnen (Strg+O)</translation>
    </message>
    <message>
        <source>Open a model&apos;s folder</source>
        <translation>Den Ordner eines Modells öffnen</translation>
    </message>
    <message>
        <source>Open a recipe from a TOML file</source>
        <translation>Ein Rezept aus einer TOML-Datei öffnen</translation>
    </message>
    <message>
        <source>Open folder</source>
        <translation>Ordner öffnen</translation>
    </message>
    <message>
        <source>Open folder…</source>
        <translation>Ordner öffnen…</translation>
    </message>
    <message>
        <source>Open licence page</source>
        <translation>Lizenzseite öffnen</translation>
    </message>
    <message>
        <source>Open page</source>
        <translation>Seite öffnen</translation>
    </message>
    <message>
        <source>Open the Hub&apos;s page of tokens</source>
        <translation>Die Seite der Token auf dem Hub öffnen</translation>
    </message>
    <message>
        <source>Open the output folder</source>
        <translation>Den Ausgabeordner öffnen</translation>
    </message>
    <message>
        <source>Open what was written, else the work folder</source>
        <translation>Öffnet, was geschrieben wurde, sonst den Arbeitsordner</translation>
    </message>
    <message>
        <source>Order</source>
        <translation>Reihenfolge</translation>
    </message>
    <message>
        <source>Order of the runs</source>
        <translation>Reihenfolge der Läufe</translation>
    </message>
    <message>
        <source>Original</source>
        <translation>Original</translation>
    </message>
    <message>
        <source>Output</source>
        <translation>Ausgabe</translation>
    </message>
    <message>
        <source>Output folder</source>
        <translation>Ausgabeordner</translation>
    </message>
    <message>
        <source>Overall progress</source>
        <translation>Gesamtfortschritt</translation>
    </message>
    <message>
        <source>PDF document (*.pdf)</source>
        <translation>PDF-Dokument (*.pdf)</translation>
    </message>
    <message>
        <source>PNG picture (*.png)</source>
        <translation>PNG-Bild (*.png)</translation>
    </message>
    <message>
        <source>Package</source>
        <translation>Paket</translation>
    </message>
    <message>
        <source>Parameters</source>
        <translation>Parameter</translation>
    </message>
    <message>
        <source>Part of the list could not be read</source>
        <translation>Ein Teil der Liste ließ sich nicht lesen</translation>
    </message>
    <message>
        <source>Pause</source>
        <translation>Anhalten</translation>
    </message>
    <message>
        <source>Paused</source>
        <translation>Angehalten</translation>
    </message>
    <message>
        <source>Pausing after this step</source>
        <translation>Hält nach diesem Schritt an</translation>
    </message>
    <message>
        <source>Peak about {size}</source>
        <translation>Spitze etwa {size}</translation>
    </message>
    <message>
        <source>Peak memory</source>
        <translation>Spitze des Speichers</translation>
    </message>
    <message>
        <source>Perplexity</source>
        <translation>Perplexität</translation>
    </message>
    <message>
        <source>Perplexity falls from {before} to {after} ({change} %).</source>
        <translation>Die Perplexität sinkt von {before} auf {after} ({change} %).</translation>
    </message>
    <message>
        <source>Perplexity of the original</source>
        <translation>Perplexität des Originals</translation>
    </message>
    <message>
        <source>Perplexity rises from {before} to {after} ({change} %).</source>
        <translation>Die Perplexität steigt von {before} auf {after} ({change} %).</translation>
    </message>
    <message>
        <source>Phi</source>
        <translation>Phi</translation>
    </message>
    <message>
        <source>Please report it, with the log.</source>
        <translation>Bitte melden Sie ihn, mit dem Protokoll.</translation>
    </message>
    <message>
        <source>Position</source>
        <translation>Position</translation>
    </message>
    <message>
        <source>Preset</source>
        <translation>Vorlage</translation>
    </message>
    <message>
        <source>Press “Use this model” for the small model that comes with the program, then “Start run” on the next page. The settings are fine as they are; the results open when the run has ended.</source>
        <translation>„Dieses Modell benutzen“ nimmt das kleine Modell, das mit dem Programm kommt; auf der nächsten Seite dann „Lauf starten“. Die Einstellungen passen, wie sie sind; die Ergebnisse öffnen sich, wenn der Lauf zu Ende ist.</translation>
    </message>
    <message>
        <source>Private</source>
        <translation>Privat</translation>
    </message>
    <message>
        <source>Problems</source>
        <translation>Probleme</translation>
    </message>
    <message>
        <source>Processes</source>
        <translation>Prozesse</translation>
    </message>
    <message>
        <source>Progress of the check</source>
        <translation>Fortschritt der Prüfung</translation>
    </message>
    <message>
        <source>Progress of the measurement</source>
        <translation>Fortschritt der Messung</translation>
    </message>
    <message>
        <source>Progress of the trial</source>
        <translation>Fortschritt des Versuchs</translation>
    </message>
    <message>
        <source>Progress of the upload</source>
        <translation>Fortschritt des Hochladens</translation>
    </message>
    <message>
        <source>Prompt</source>
        <translation>Eingabe</translation>
    </message>
    <message>
        <source>Proof</source>
        <translation>Nachweis</translation>
    </message>
    <message>
        <source>Prove</source>
        <translation>Nachweisen</translation>
    </message>
    <message>
        <source>Push again: what has arrived is not sent again.</source>
        <translation>Laden Sie erneut hoch: was angekommen ist, wird nicht noch einmal gesendet.</translation>
    </message>
    <message>
        <source>Push although the proof failed, was left out, or files have changed since</source>
        <translation>Hochladen, auch wenn der Nachweis scheiterte, ausgelassen wurde oder Dateien sich seither geändert haben</translation>
    </message>
    <message>
        <source>Push to the Hub</source>
        <translation>Zum Hub hochladen</translation>
    </message>
    <message>
        <source>Put the prompt into the model&apos;s chat template, if it has one</source>
        <translation>Die Eingabe in die Chat-Vorlage des Modells setzen, falls es eine hat</translation>
    </message>
    <message>
        <source>Qronos</source>
        <translation>Qronos</translation>
    </message>
    <message>
        <source>Quantization</source>
        <translation>Quantisierung</translation>
    </message>
    <message>
        <source>Quantization error of every token</source>
        <translation>Quantisierungsfehler jedes Tokens</translation>
    </message>
    <message>
        <source>Quantization report</source>
        <translation>Bericht der Quantisierung</translation>
    </message>
    <message>
        <source>Quantize</source>
        <translation>Quantisieren</translation>
    </message>
    <message>
        <source>Quantize again</source>
        <translation>Erneut quantisieren</translation>
    </message>
    <message>
        <source>Quantized</source>
        <translation>Quantisiert</translation>
    </message>
    <message>
        <source>Quantized GGUF file (llama.cpp)</source>
        <translation>Quantisierte GGUF-Datei (llama.cpp)</translation>
    </message>
    <message>
        <source>Quantized checkpoint (compressed-tensors)</source>
        <translation>Quantisierter Checkpoint (compressed-tensors)</translation>
    </message>
    <message>
        <source>Qwen</source>
        <translation>Qwen</translation>
    </message>
    <message>
        <source>R1 from {name}</source>
        <translation>R1 aus {name}</translation>
    </message>
    <message>
        <source>R1, residual stream</source>
        <translation>R1, Residualstrom</translation>
    </message>
    <message>
        <source>R2, value heads</source>
        <translation>R2, Köpfe der Werte</translation>
    </message>
    <message>
        <source>R3, query and key</source>
        <translation>R3, Query und Key</translation>
    </message>
    <message>
        <source>R4 is applied by code in the folder, which transformers runs only where it may</source>
        <translation>R4 wird von Code im Ordner angewandt, den transformers nur ausführt, wo es darf</translation>
    </message>
    <message>
        <source>R4, MLP hidden</source>
        <translation>R4, Inneres der MLP</translation>
    </message>
    <message>
        <source>RH  Hadamard</source>
        <translation>RH  Hadamard</translation>
    </message>
    <message>
        <source>RO  Orthogonal</source>
        <translation>RO  Orthogonal</translation>
    </message>
    <message>
        <source>RUNS</source>
        <translation>LÄUFE</translation>
    </message>
    <message>
        <source>Rank</source>
        <translation>Rang</translation>
    </message>
    <message>
        <source>Reading the model&apos;s headers…</source>
        <translation>Die Kopfdaten des Modells werden gelesen…</translation>
    </message>
    <message>
        <source>Ready to quantize</source>
        <translation>Bereit zum Quantisieren</translation>
    </message>
    <message>
        <source>Ready.</source>
        <translation>Bereit.</translation>
    </message>
    <message>
        <source>Recipe</source>
        <translation>Rezept</translation>
    </message>
    <message>
        <source>Recipes (*.toml)</source>
        <translation>Rezepte (*.toml)</translation>
    </message>
    <message>
        <source>Reco&amp;very</source>
        <translation>Wiederhe&amp;rstellung</translation>
    </message>
    <message>
        <source>Recommended</source>
        <translation>Empfohlen</translation>
    </message>
    <message>
        <source>Recovery</source>
        <translation>Wiederherstellung</translation>
    </message>
    <message>
        <source>Redo (Ctrl+Shift+Z)</source>
        <translation>Wiederholen (Strg+Umschalt+Z)</translation>
    </message>
    <message>
        <source>Refined</source>
        <translation>Verfeinert</translation>
    </message>
    <message>
        <source>Refined, in blocks</source>
        <translation>Verfeinert, in Blöcken</translation>
    </message>
    <message>
        <source>Refinement</source>
        <translation>Verfeinerung</translation>
    </message>
    <message>
        <source>Relative change of a scale in the first step</source>
        <translation>Relative Änderung einer Skala im ersten Schritt</translation>
    </message>
    <message>
        <source>Relative error</source>
        <translation>Relativer Fehler</translation>
    </message>
    <message>
        <source>Relative error of the output</source>
        <translation>Relativer Fehler der Ausgabe</translation>
    </message>
    <message>
        <source>Reloaded, it computes the same</source>
        <translation>Neu geladen rechnet es dasselbe</translation>
    </message>
    <message>
        <source>Remove</source>
        <translation>Entfernen</translation>
    </message>
    <message>
        <source>Remove the rotation</source>
        <translation>Die Rotation entfernen</translation>
    </message>
    <message>
        <source>Remove the selected rotation from the library</source>
        <translation>Die gewählte Rotation aus der Bibliothek entfernen</translation>
    </message>
    <message>
        <source>Remove this model from the Hub cache</source>
        <translation>Dieses Modell aus dem Cache des Hubs entfernen</translation>
    </message>
    <message>
        <source>Remove {name} from the library?

The run it came from keeps its own file.</source>
        <translation>{name} aus der Bibliothek entfernen?

Der Lauf, aus dem sie stammt, behält seine eigene Datei.</translation>
    </message>
    <message>
        <source>Reorder channels</source>
        <translation>Kanäle umordnen</translation>
    </message>
    <message>
        <source>Replace what is in the output folder</source>
        <translation>Ersetzen, was im Ausgabeordner liegt</translation>
    </message>
    <message>
        <source>Replace what is there</source>
        <translation>Ersetzen, was dort ist</translation>
    </message>
    <message>
        <source>Repository on the Hub</source>
        <translation>Repository auf dem Hub</translation>
    </message>
    <message>
        <source>Reset</source>
        <translation>Zurücksetzen</translation>
    </message>
    <message>
        <source>Result</source>
        <translation>Ergebnis</translation>
    </message>
    <message>
        <source>Results</source>
        <translation>Ergebnisse</translation>
    </message>
    <message>
        <source>Resume</source>
        <translation>Fortsetzen</translation>
    </message>
    <message>
        <source>Resume it: everything finished so far is kept.</source>
        <translation>Setzen Sie ihn fort: alles bisher Fertige bleibt erhalten.</translation>
    </message>
    <message>
        <source>Resume the run: everything finished so far is kept.</source>
        <translation>Setzen Sie den Lauf fort: alles bisher Fertige bleibt erhalten.</translation>
    </message>
    <message>
        <source>Revision</source>
        <translation>Revision</translation>
    </message>
    <message>
        <source>Revision to use</source>
        <translation>Zu benutzende Revision</translation>
    </message>
    <message>
        <source>Rotate</source>
        <translation>Rotieren</translation>
    </message>
    <message>
        <source>Rotated GGUF file in 16 bits</source>
        <translation>Rotierte GGUF-Datei in 16 Bit</translation>
    </message>
    <message>
        <source>Rotated GGUF file in 8 bits</source>
        <translation>Rotierte GGUF-Datei in 8 Bit</translation>
    </message>
    <message>
        <source>Rotated model in 16 bits</source>
        <translation>Rotiertes Modell in 16 Bit</translation>
    </message>
    <message>
        <source>Rotation</source>
        <translation>Rotation</translation>
    </message>
    <message>
        <source>Rotation file</source>
        <translation>Rotationsdatei</translation>
    </message>
    <message>
        <source>Rotations (*.safetensors *.npy)</source>
        <translation>Rotationen (*.safetensors *.npy)</translation>
    </message>
    <message>
        <source>Rotations are being tried</source>
        <translation>Rotationen werden gerade verglichen</translation>
    </message>
    <message>
        <source>Rotations leave the model as it is</source>
        <translation>Rotationen lassen das Modell, wie es ist</translation>
    </message>
    <message>
        <source>Rotations that earlier runs have learned</source>
        <translation>Rotationen, die frühere Läufe gelernt haben</translation>
    </message>
    <message>
        <source>Rotations that were tried</source>
        <translation>Verglichene Rotationen</translation>
    </message>
    <message>
        <source>Round columns in the order of their inputs&apos; energy; groups stay</source>
        <translation>Spalten nach der Energie ihrer Eingaben runden; Gruppen bleiben</translation>
    </message>
    <message>
        <source>Rounded alone</source>
        <translation>Allein gerundet</translation>
    </message>
    <message>
        <source>Roundin&amp;g</source>
        <translation>Rundun&amp;g</translation>
    </message>
    <message>
        <source>Rounding</source>
        <translation>Rundung</translation>
    </message>
    <message>
        <source>Rounds one linear at a time, on a few tokens, and compares the predictions with the original&apos;s.</source>
        <translation>Rundet eine Linearschicht nach der anderen, an wenigen Token, und vergleicht die Vorhersagen mit denen des Originals.</translation>
    </message>
    <message>
        <source>Rows</source>
        <translation>Zeilen</translation>
    </message>
    <message>
        <source>Rows per block</source>
        <translation>Zeilen je Block</translation>
    </message>
    <message>
        <source>Rows per step</source>
        <translation>Zeilen je Schritt</translation>
    </message>
    <message>
        <source>Run</source>
        <translation>Lauf</translation>
    </message>
    <message>
        <source>Run options</source>
        <translation>Optionen des Laufs</translation>
    </message>
    <message>
        <source>Run the folder&apos;s code</source>
        <translation>Code des Ordners ausführen</translation>
    </message>
    <message>
        <source>Running</source>
        <translation>Laufend</translation>
    </message>
    <message>
        <source>Runs</source>
        <translation>Läufe</translation>
    </message>
    <message>
        <source>Runs that have written a checkpoint and measured its perplexity are drawn here.</source>
        <translation>Hier werden Läufe gezeichnet, die einen Checkpoint geschrieben und seine Perplexität gemessen haben.</translation>
    </message>
    <message>
        <source>Runtime</source>
        <translation>Laufzeitumgebung</translation>
    </message>
    <message>
        <source>S&amp;eed</source>
        <translation>Start&amp;wert</translation>
    </message>
    <message>
        <source>S&amp;tart</source>
        <translation>S&amp;tart</translation>
    </message>
    <message>
        <source>SVG drawing (*.svg)</source>
        <translation>SVG-Zeichnung (*.svg)</translation>
    </message>
    <message>
        <source>Sa&amp;mples</source>
        <translation>Stichpro&amp;ben</translation>
    </message>
    <message>
        <source>Same names as for calibration; never the same text by default</source>
        <translation>Namen wie bei der Kalibrierung; von sich aus nie derselbe Text</translation>
    </message>
    <message>
        <source>Same top choice</source>
        <translation>Gleiche erste Wahl</translation>
    </message>
    <message>
        <source>Sample model</source>
        <translation>Beispielmodell</translation>
    </message>
    <message>
        <source>Samples</source>
        <translation>Stichproben</translation>
    </message>
    <message>
        <source>Save as CSV: {title}</source>
        <translation>Als CSV speichern: {title}</translation>
    </message>
    <message>
        <source>Save as PNG…</source>
        <translation>Als PNG speichern…</translation>
    </message>
    <message>
        <source>Save as SVG…</source>
        <translation>Als SVG speichern…</translation>
    </message>
    <message>
        <source>Save numbers as CSV…</source>
        <translation>Zahlen als CSV speichern…</translation>
    </message>
    <message>
        <source>Save numbers, charts and recipe as HTML or PDF</source>
        <translation>Zahlen, Diagramme und Rezept als HTML oder PDF speichern</translation>
    </message>
    <message>
        <source>Save or copy: {title}</source>
        <translation>Speichern oder kopieren: {title}</translation>
    </message>
    <message>
        <source>Save recipe…</source>
        <translation>Rezept speichern…</translation>
    </message>
    <message>
        <source>Save report</source>
        <translation>Bericht speichern</translation>
    </message>
    <message>
        <source>Save report…</source>
        <translation>Bericht speichern…</translation>
    </message>
    <message>
        <source>Save the recipe</source>
        <translation>Das Rezept speichern</translation>
    </message>
    <message>
        <source>Save this recipe as a TOML file (Ctrl+S)</source>
        <translation>Dieses Rezept als TOML-Datei speichern (Strg+S)</translation>
    </message>
    <message>
        <source>Save: {title}</source>
        <translation>Speichern: {title}</translation>
    </message>
    <message>
        <source>Saved rotation</source>
        <translation>Gespeicherte Rotation</translation>
    </message>
    <message>
        <source>Saved rotations</source>
        <translation>Gespeicherte Rotationen</translation>
    </message>
    <message>
        <source>Saved rotation…</source>
        <translation>Gespeicherte Rotation…</translation>
    </message>
    <message>
        <source>Scale per</source>
        <translation>Skala je</translation>
    </message>
    <message>
        <source>Scaled</source>
        <translation>Skaliert</translation>
    </message>
    <message>
        <source>Scaled: large channels in front of down_proj are made smaller; folded into the weights</source>
        <translation>Skaliert: große Kanäle vor down_proj werden kleiner; in die Gewichte gefaltet</translation>
    </message>
    <message>
        <source>Search models</source>
        <translation>Modelle suchen</translation>
    </message>
    <message>
        <source>Search models, for example “llama 1b”</source>
        <translation>Modelle suchen, zum Beispiel „llama 1b“</translation>
    </message>
    <message>
        <source>Search the Hugging Face Hub, or open a model you already have.</source>
        <translation>Suchen Sie auf dem Hugging Face Hub, oder öffnen Sie ein Modell, das Sie schon haben.</translation>
    </message>
    <message>
        <source>Searching the Hub…</source>
        <translation>Der Hub wird durchsucht…</translation>
    </message>
    <message>
        <source>See that nothing writes to the model&apos;s folder. {again}</source>
        <translation>Sorgen Sie dafür, dass nichts in den Ordner des Modells schreibt. {again}</translation>
    </message>
    <message>
        <source>See the last lines below.</source>
        <translation>Siehe die letzten Zeilen unten.</translation>
    </message>
    <message>
        <source>Seed</source>
        <translation>Startwert</translation>
    </message>
    <message>
        <source>Seed-OSS</source>
        <translation>Seed-OSS</translation>
    </message>
    <message>
        <source>Sensitivity</source>
        <translation>Empfindlichkeit</translation>
    </message>
    <message>
        <source>Sequences of a step</source>
        <translation>Sequenzen eines Schritts</translation>
    </message>
    <message>
        <source>Sequences per step</source>
        <translation>Sequenzen je Schritt</translation>
    </message>
    <message>
        <source>Sequences that are run</source>
        <translation>Sequenzen, die gerechnet werden</translation>
    </message>
    <message>
        <source>Setting</source>
        <translation>Einstellung</translation>
    </message>
    <message>
        <source>Share large channels out over the blocks; folded into the weights, costs nothing at run time</source>
        <translation>Verteilt große Kanäle auf die Blöcke; in die Gewichte eingerechnet, kostet zur Laufzeit nichts</translation>
    </message>
    <message>
        <source>Share of the inputs&apos; largest eigenvalue added to each</source>
        <translation>Anteil des größten Eigenwerts der Eingaben, der zu jeder addiert wird</translation>
    </message>
    <message>
        <source>Share of the inputs&apos; mean energy added to each</source>
        <translation>Anteil der mittleren Energie der Eingaben, der zu jeder addiert wird</translation>
    </message>
    <message>
        <source>Share of the range that is kept, or &apos;search&apos; for the least error per scale</source>
        <translation>Anteil des Wertebereichs, der bleibt, oder „search“ für den kleinsten Fehler je Skala</translation>
    </message>
    <message>
        <source>Share of the range that is kept; &apos;search&apos; finds one number for keys and one for values of each block on the calibration text</source>
        <translation>Anteil des Wertebereichs, der bleibt; „search“ findet am Kalibriertext je eine Zahl für Keys und Values jedes Blocks</translation>
    </message>
    <message>
        <source>Share of the range that is kept; 1.0 is what runtimes compute, &apos;search&apos; finds one number for each input on the calibration text</source>
        <translation>Anteil des Wertebereichs, der bleibt; 1,0 rechnen Laufzeitumgebungen, „search“ findet am Kalibriertext eine Zahl für jede Eingabe</translation>
    </message>
    <message>
        <source>Share of tokens, best first</source>
        <translation>Anteil der Token, beste zuerst</translation>
    </message>
    <message>
        <source>Show</source>
        <translation>Zeigen</translation>
    </message>
    <message>
        <source>Show everything</source>
        <translation>Alles zeigen</translation>
    </message>
    <message>
        <source>Show field</source>
        <translation>Feld zeigen</translation>
    </message>
    <message>
        <source>Show or hide {text}</source>
        <translation>{text} zeigen oder verbergen</translation>
    </message>
    <message>
        <source>Show results</source>
        <translation>Ergebnisse zeigen</translation>
    </message>
    <message>
        <source>Show the error of all blocks</source>
        <translation>Den Fehler aller Blöcke zeigen</translation>
    </message>
    <message>
        <source>Show the run and its results (Enter)</source>
        <translation>Den Lauf und seine Ergebnisse zeigen (Eingabe)</translation>
    </message>
    <message>
        <source>Show {number} more</source>
        <translation>{number} weitere zeigen</translation>
    </message>
    <message>
        <source>Show {text}</source>
        <translation>{text} zeigen</translation>
    </message>
    <message>
        <source>Sign in</source>
        <translation>Anmelden</translation>
    </message>
    <message>
        <source>Sign in to Hugging Face</source>
        <translation>Bei Hugging Face anmelden</translation>
    </message>
    <message>
        <source>Sign in…</source>
        <translation>Anmelden…</translation>
    </message>
    <message>
        <source>Sign out</source>
        <translation>Abmelden</translation>
    </message>
    <message>
        <source>Signed in as {name}</source>
        <translation>Angemeldet als {name}</translation>
    </message>
    <message>
        <source>Simple</source>
        <translation>Einfach</translation>
    </message>
    <message>
        <source>Simple: preset, rotation and output folder. Nothing that is hidden is changed.</source>
        <translation>Einfach: Vorlage, Rotation und Ausgabeordner. Nichts Verborgenes wird geändert.</translation>
    </message>
    <message>
        <source>Site</source>
        <translation>Stelle</translation>
    </message>
    <message>
        <source>Size</source>
        <translation>Größe</translation>
    </message>
    <message>
        <source>Size against perplexity</source>
        <translation>Größe gegen Perplexität</translation>
    </message>
    <message>
        <source>Size of the weights</source>
        <translation>Größe der Gewichte</translation>
    </message>
    <message>
        <source>Small, needs no download; good for a first run</source>
        <translation>Klein, ohne Herunterladen; gut für einen ersten Lauf</translation>
    </message>
    <message>
        <source>Smallest</source>
        <translation>Kleinste</translation>
    </message>
    <message>
        <source>SmolLM</source>
        <translation>SmolLM</translation>
    </message>
    <message>
        <source>SmolVLM</source>
        <translation>SmolVLM</translation>
    </message>
    <message>
        <source>Speed</source>
        <translation>Tempo</translation>
    </message>
    <message>
        <source>Stage {number} of {count}: {titles}</source>
        <translation>Stufe {number} von {count}: {titles}</translation>
    </message>
    <message>
        <source>Stages</source>
        <translation>Stufen</translation>
    </message>
    <message>
        <source>StarCoder</source>
        <translation>StarCoder</translation>
    </message>
    <message>
        <source>Start</source>
        <translation>Start</translation>
    </message>
    <message>
        <source>Start (Ctrl+Return)</source>
        <translation>Starten (Strg+Eingabe)</translation>
    </message>
    <message>
        <source>Start from</source>
        <translation>Start aus</translation>
    </message>
    <message>
        <source>Start run</source>
        <translation>Lauf starten</translation>
    </message>
    <message>
        <source>Started</source>
        <translation>Begonnen</translation>
    </message>
    <message>
        <source>Starting the engine</source>
        <translation>Die Engine startet</translation>
    </message>
    <message>
        <source>Starts from a random one, refines it for massive tokens.</source>
        <translation>Beginnt mit einer zufälligen und verfeinert sie für massive Token.</translation>
    </message>
    <message>
        <source>Starts from {name}</source>
        <translation>Beginnt mit {name}</translation>
    </message>
    <message>
        <source>State</source>
        <translation>Zustand</translation>
    </message>
    <message>
        <source>Steps</source>
        <translation>Schritte</translation>
    </message>
    <message>
        <source>Stop</source>
        <translation>Stoppen</translation>
    </message>
    <message>
        <source>Stop and close</source>
        <translation>Stoppen und schließen</translation>
    </message>
    <message>
        <source>Stop measuring</source>
        <translation>Die Messung stoppen</translation>
    </message>
    <message>
        <source>Stop the download; finished files are kept</source>
        <translation>Das Herunterladen stoppen; fertige Dateien bleiben</translation>
    </message>
    <message>
        <source>Stop the run; everything finished so far is kept</source>
        <translation>Den Lauf stoppen; alles bisher Fertige bleibt erhalten</translation>
    </message>
    <message>
        <source>Stop trying; the rows so far stay</source>
        <translation>Den Versuch stoppen; die bisherigen Zeilen bleiben</translation>
    </message>
    <message>
        <source>Stop writing; what is there stays</source>
        <translation>Das Schreiben stoppen; was da ist, bleibt</translation>
    </message>
    <message>
        <source>Stop; a half made environment is made anew</source>
        <translation>Anhalten; eine halb fertige Umgebung wird neu gemacht</translation>
    </message>
    <message>
        <source>Stop; what has arrived is not sent again</source>
        <translation>Stoppen; was angekommen ist, wird nicht noch einmal gesendet</translation>
    </message>
    <message>
        <source>Stopped</source>
        <translation>Gestoppt</translation>
    </message>
    <message>
        <source>Stopped before the end; there is no recommendation.</source>
        <translation>Vor dem Ende gestoppt; es gibt keine Empfehlung.</translation>
    </message>
    <message>
        <source>Stopped.</source>
        <translation>Gestoppt.</translation>
    </message>
    <message>
        <source>Stopped; the engine did not answer in time and was ended.</source>
        <translation>Gestoppt; die Engine hat nicht rechtzeitig geantwortet und wurde beendet.</translation>
    </message>
    <message>
        <source>Stopping the run…</source>
        <translation>Der Lauf wird gestoppt…</translation>
    </message>
    <message>
        <source>Stopping: the work so far is being saved</source>
        <translation>Stoppt: die bisherige Arbeit wird gesichert</translation>
    </message>
    <message>
        <source>Stopping…</source>
        <translation>Stoppt…</translation>
    </message>
    <message>
        <source>Switch off a filter or use other words.</source>
        <translation>Schalten Sie einen Filter aus, oder nehmen Sie andere Wörter.</translation>
    </message>
    <message>
        <source>Symmetric</source>
        <translation>Symmetrisch</translation>
    </message>
    <message>
        <source>Symmetric weights</source>
        <translation>Symmetrische Gewichte</translation>
    </message>
    <message>
        <source>System</source>
        <translation>System</translation>
    </message>
    <message numerus="yes">
        <source>Take %n runs off the list?</source>
        <translation>
            <numerusform>Den Lauf von der Liste nehmen?</numerusform>
            <numerusform>%n Läufe von der Liste nehmen?</numerusform>
        </translation>
    </message>
    <message>
        <source>Take all marks away</source>
        <translation>Alle Markierungen entfernen</translation>
    </message>
    <message>
        <source>Take this recipe to the Recipe page, to change it</source>
        <translation>Dieses Rezept auf die Rezeptseite nehmen, um es zu ändern</translation>
    </message>
    <message>
        <source>Takes effect at the next start</source>
        <translation>Gilt ab dem nächsten Start</translation>
    </message>
    <message>
        <source>Tasks</source>
        <translation>Aufgaben</translation>
    </message>
    <message>
        <source>Temperature</source>
        <translation>Temperatur</translation>
    </message>
    <message>
        <source>Tensors are what was computed</source>
        <translation>Tensoren sind, was berechnet wurde</translation>
    </message>
    <message>
        <source>Text</source>
        <translation>Text</translation>
    </message>
    <message>
        <source>Text (*.txt *.jsonl *.parquet)</source>
        <translation>Text (*.txt *.jsonl *.parquet)</translation>
    </message>
    <message>
        <source>Text file…</source>
        <translation>Textdatei…</translation>
    </message>
    <message>
        <source>Text for calibration</source>
        <translation>Text für die Kalibrierung</translation>
    </message>
    <message>
        <source>Texts</source>
        <translation>Texte</translation>
    </message>
    <message>
        <source>That is a real loss: more bits, such as W4A8 or W8A8, keep more of the model.</source>
        <translation>Das ist ein spürbarer Verlust: mehr Bit, etwa W4A8 oder W8A8, erhalten mehr vom Modell.</translation>
    </message>
    <message>
        <source>The Hub&apos;s client forgets its tokens</source>
        <translation>Das Programm des Hubs vergisst seine Token</translation>
    </message>
    <message>
        <source>The engine could not be started: {reason}.</source>
        <translation>Die Engine ließ sich nicht starten: {reason}.</translation>
    </message>
    <message>
        <source>The engine crashed (SIGBUS): a file it was reading became shorter, or its disk failed.</source>
        <translation>Die Engine ist abgestürzt (SIGBUS): eine Datei, die sie las, wurde kürzer, oder der Datenträger versagte.</translation>
    </message>
    <message>
        <source>The engine crashed ({signal_name}).</source>
        <translation>Die Engine ist abgestürzt ({signal_name}).</translation>
    </message>
    <message>
        <source>The engine did not accept the recipe or its options.</source>
        <translation>Die Engine hat das Rezept oder seine Optionen nicht angenommen.</translation>
    </message>
    <message>
        <source>The engine ended without a word (exit code {returncode}).</source>
        <translation>Die Engine endete ohne ein Wort (Rückgabewert {returncode}).</translation>
    </message>
    <message>
        <source>The engine was killed, probably because the computer ran out of memory.</source>
        <translation>Die Engine wurde beendet, vermutlich weil der Speicher des Computers nicht reichte.</translation>
    </message>
    <message>
        <source>The error of every block is drawn here as it is quantized.</source>
        <translation>Hier wird der Fehler jedes Blocks gezeichnet, sobald er quantisiert ist.</translation>
    </message>
    <message>
        <source>The errors of every token are drawn here once the rotations have been compared.</source>
        <translation>Hier werden die Fehler aller Token gezeichnet, sobald die Rotationen verglichen sind.</translation>
    </message>
    <message>
        <source>The largest activation of every token is drawn here during calibration.</source>
        <translation>Hier wird während der Kalibrierung die größte Aktivierung jedes Tokens gezeichnet.</translation>
    </message>
    <message>
        <source>The largest, and their error in each rotation</source>
        <translation>Die größten und ihr Fehler mit jeder Rotation</translation>
    </message>
    <message>
        <source>The last run of {model} was interrupted.</source>
        <translation>Der letzte Lauf von {model} wurde unterbrochen.</translation>
    </message>
    <message>
        <source>The loss is drawn here while a rotation is refined.</source>
        <translation>Hier wird der Verlust gezeichnet, während eine Rotation verfeinert wird.</translation>
    </message>
    <message>
        <source>The massive tokens&apos; error is no lower than with a random Hadamard rotation: {mine:.4f} against {other:.4f}.</source>
        <translation>Der Fehler der massiven Token ist nicht kleiner als mit einer zufälligen Hadamard-Rotation: {mine:.4f} gegen {other:.4f}.</translation>
    </message>
    <message>
        <source>The massive tokens&apos; error is no lower than with no rotation: {mine:.4f} against {other:.4f}.</source>
        <translation>Der Fehler der massiven Token ist nicht kleiner als ohne Rotation: {mine:.4f} gegen {other:.4f}.</translation>
    </message>
    <message>
        <source>The mean error of every block is drawn here once the rotations have been compared.</source>
        <translation>Hier wird der mittlere Fehler jedes Blocks gezeichnet, sobald die Rotationen verglichen sind.</translation>
    </message>
    <message>
        <source>The mean token error is no lower than with a random Hadamard rotation: {mine:.4f} against {other:.4f}.</source>
        <translation>Der mittlere Tokenfehler ist nicht kleiner als mit einer zufälligen Hadamard-Rotation: {mine:.4f} gegen {other:.4f}.</translation>
    </message>
    <message>
        <source>The mean token error is no lower than with no rotation: {mine:.4f} against {other:.4f}.</source>
        <translation>Der mittlere Tokenfehler ist nicht kleiner als ohne Rotation: {mine:.4f} gegen {other:.4f}.</translation>
    </message>
    <message>
        <source>The original&apos;s own differs: other text, other windows or another model. Compare each with its original.</source>
        <translation>Die des Originals ist jeweils eine andere: anderer Text, andere Fenster oder ein anderes Modell. Vergleichen Sie jede mit der ihres Originals.</translation>
    </message>
    <message>
        <source>The preset it came from, or your own name</source>
        <translation>Die Vorlage, aus der es stammt, oder Ihr eigener Name</translation>
    </message>
    <message>
        <source>The proof failed: {note}. Do not use what was written.</source>
        <translation>Der Nachweis ist gescheitert: {note}. Benutzen Sie das Geschriebene nicht.</translation>
    </message>
    <message>
        <source>The protocol of the DFRot paper: all rotations on, everything at 4 bits. No checkpoint format carries it; it is measured.</source>
        <translation>Das Protokoll der DFRot-Arbeit: alle Rotationen an, alles in 4 Bit. Kein Checkpoint-Format trägt es; es wird gemessen.</translation>
    </message>
    <message>
        <source>The quantized model keeps {share:.1f} % of the original&apos;s top-1 choices.</source>
        <translation>Das quantisierte Modell behält {share:.1f} % der ersten Wahl des Originals.</translation>
    </message>
    <message>
        <source>The recipe has changed since these were tried.</source>
        <translation>Das Rezept hat sich geändert, seit diese verglichen wurden.</translation>
    </message>
    <message>
        <source>The recipe in {work_dir} cannot be read.</source>
        <translation>Das Rezept in {work_dir} ist nicht lesbar.</translation>
    </message>
    <message>
        <source>The recipe of this run cannot be read.</source>
        <translation>Das Rezept dieses Laufs ist nicht lesbar.</translation>
    </message>
    <message>
        <source>The recipe was not loaded</source>
        <translation>Das Rezept wurde nicht geladen</translation>
    </message>
    <message>
        <source>The recipe was not saved</source>
        <translation>Das Rezept wurde nicht gespeichert</translation>
    </message>
    <message>
        <source>The rotation that is refined</source>
        <translation>Die Rotation, die verfeinert wird</translation>
    </message>
    <message>
        <source>The rotation that is refined; DFRot takes a part of the iterations</source>
        <translation>Die Rotation, die verfeinert wird; DFRot nimmt einen Teil der Iterationen</translation>
    </message>
    <message>
        <source>The run</source>
        <translation>Der Lauf</translation>
    </message>
    <message>
        <source>The run goes on in the background.</source>
        <translation>Der Lauf geht im Hintergrund weiter.</translation>
    </message>
    <message>
        <source>The run of {model} goes on in the background.</source>
        <translation>Der Lauf von {model} geht im Hintergrund weiter.</translation>
    </message>
    <message>
        <source>The run was cut off before it ended.</source>
        <translation>Der Lauf wurde vor seinem Ende abgebrochen.</translation>
    </message>
    <message>
        <source>The run wrote several kinds of files; what is done here is done with these</source>
        <translation>Der Lauf hat mehrere Arten von Dateien geschrieben; was hier geschieht, geschieht mit diesen</translation>
    </message>
    <message>
        <source>The same for the first {share:,} characters; from there on they differ.</source>
        <translation>Gleich in den ersten {share:,} Zeichen; danach unterscheiden sie sich.</translation>
    </message>
    <message>
        <source>The same prompt, the same draws; what differs is what rounding changed.</source>
        <translation>Dieselbe Eingabe, dieselben Zufallszahlen; was sich unterscheidet, hat das Runden geändert.</translation>
    </message>
    <message>
        <source>The weights fit into this computer&apos;s memory</source>
        <translation>Die Gewichte passen in den Speicher dieses Computers</translation>
    </message>
    <message>
        <source>The window closes as soon as the engine has begun.</source>
        <translation>Das Fenster schließt sich, sobald die Engine begonnen hat.</translation>
    </message>
    <message>
        <source>These folders go, with everything that runs have written there:
{lines}</source>
        <translation>Diese Ordner werden gelöscht, mit allem, was Läufe dort geschrieben haben:
{lines}</translation>
    </message>
    <message>
        <source>These perplexities were not measured alike.</source>
        <translation>Diese Perplexitäten sind nicht auf gleiche Weise gemessen.</translation>
    </message>
    <message>
        <source>They appear here as soon as a run has measured something.</source>
        <translation>Sie erscheinen hier, sobald ein Lauf etwas gemessen hat.</translation>
    </message>
    <message>
        <source>They can then be used again by their name</source>
        <translation>Sie lassen sich dann unter ihrem Namen wieder benutzen</translation>
    </message>
    <message>
        <source>This block&apos;s linears are drawn here once they are rounded.</source>
        <translation>Hier werden die Linearschichten dieses Blocks gezeichnet, sobald sie gerundet sind.</translation>
    </message>
    <message>
        <source>This computer</source>
        <translation>Dieser Computer</translation>
    </message>
    <message>
        <source>This model cannot be used.</source>
        <translation>Dieses Modell lässt sich nicht benutzen.</translation>
    </message>
    <message>
        <source>This one cannot be raised: it has 8 bits, no bits of its own, or a format that is not raised.</source>
        <translation>Diese lässt sich nicht anheben: sie hat 8 Bit, keine eigenen Bit oder ein Format, das nicht angehoben wird.</translation>
    </message>
    <message>
        <source>This recipe&apos;s rotation is not refined, so there is no loss to draw.</source>
        <translation>Die Rotation dieses Rezepts wird nicht verfeinert, also gibt es keinen Verlust zu zeichnen.</translation>
    </message>
    <message>
        <source>This rotation is not refined.</source>
        <translation>Diese Rotation wird nicht verfeinert.</translation>
    </message>
    <message>
        <source>This run has no errors by place: they are measured when the rotations are compared</source>
        <translation>Dieser Lauf hat keine Fehler nach Ort: sie werden gemessen, wenn die Rotationen verglichen werden</translation>
    </message>
    <message>
        <source>This run was made before errors of single tokens were kept.</source>
        <translation>Dieser Lauf entstand, bevor Fehler einzelner Token aufgehoben wurden.</translation>
    </message>
    <message>
        <source>Time</source>
        <translation>Zeit</translation>
    </message>
    <message>
        <source>Time not known yet</source>
        <translation>Dauer noch nicht bekannt</translation>
    </message>
    <message>
        <source>To mend: {names}.</source>
        <translation>Zu beheben: {names}.</translation>
    </message>
    <message>
        <source>Token error</source>
        <translation>Tokenfehler</translation>
    </message>
    <message>
        <source>Token position</source>
        <translation>Position des Tokens</translation>
    </message>
    <message>
        <source>Token rank, worst first</source>
        <translation>Rang des Tokens, schlechteste zuerst</translation>
    </message>
    <message>
        <source>Token {text}</source>
        <translation>Token {text}</translation>
    </message>
    <message>
        <source>Tokens at most</source>
        <translation>Token höchstens</translation>
    </message>
    <message>
        <source>Tokens in each sequence</source>
        <translation>Token in jeder Sequenz</translation>
    </message>
    <message>
        <source>Tokens in each window; &apos;model&apos; takes what the model can, at most 2,048</source>
        <translation>Token in jedem Fenster; „model“ nimmt, was das Modell kann, höchstens 2.048</translation>
    </message>
    <message>
        <source>Tokens of each block the refinement sees</source>
        <translation>Token jedes Blocks, die die Verfeinerung sieht</translation>
    </message>
    <message>
        <source>Topics</source>
        <translation>Themen</translation>
    </message>
    <message>
        <source>Train a LoRA adapter</source>
        <translation>Einen LoRA-Adapter trainieren</translation>
    </message>
    <message>
        <source>Train scales and gains</source>
        <translation>Skalen und Normgewichte trainieren</translation>
    </message>
    <message>
        <source>Trains each block for a while after it was rounded: slow, and often worth it</source>
        <translation>Trainiert jeden Block eine Weile, nachdem er gerundet wurde: langsam und oft der Mühe wert</translation>
    </message>
    <message>
        <source>Try again</source>
        <translation>Erneut versuchen</translation>
    </message>
    <message>
        <source>Try again to compare them for this recipe.</source>
        <translation>Vergleichen Sie erneut für dieses Rezept.</translation>
    </message>
    <message>
        <source>Try again; nothing was lost.</source>
        <translation>Versuchen Sie es erneut; nichts ging verloren.</translation>
    </message>
    <message>
        <source>Try it</source>
        <translation>Ausprobieren</translation>
    </message>
    <message>
        <source>Try rotations</source>
        <translation>Rotationen vergleichen</translation>
    </message>
    <message>
        <source>Turns each head of the values; folded into the weights. Refined: for the rounding of o_proj&apos;s inputs</source>
        <translation>Dreht jeden Kopf der Werte; in die Gewichte eingerechnet. Verfeinert: für die Rundung der Eingaben von o_proj</translation>
    </message>
    <message>
        <source>Turns the MLP&apos;s channels in front of down_proj, while the model runs. Refined: for their rounding</source>
        <translation>Dreht die Kanäle der MLP vor down_proj, während das Modell läuft. Verfeinert: für ihre Rundung</translation>
    </message>
    <message>
        <source>Two to six chosen runs side by side (C)</source>
        <translation>Zwei bis sechs gewählte Läufe nebeneinander (C)</translation>
    </message>
    <message>
        <source>Undo (Ctrl+Z)</source>
        <translation>Rückgängig (Strg+Z)</translation>
    </message>
    <message>
        <source>Unexpected fault: {error}</source>
        <translation>Unerwarteter Fehler: {error}</translation>
    </message>
    <message>
        <source>Unexpected fault: {fault}

A run that is going on is not affected.</source>
        <translation>Unerwarteter Fehler: {fault}

Ein Lauf, der im Gange ist, ist nicht betroffen.</translation>
    </message>
    <message>
        <source>Up to {size} B</source>
        <translation>Bis {size} Mrd.</translation>
    </message>
    <message>
        <source>Uploads the folder with its model card. A repository that is there keeps its visibility.</source>
        <translation>Lädt den Ordner mit seiner Modellkarte hoch. Ein vorhandenes Repository behält seine Sichtbarkeit.</translation>
    </message>
    <message>
        <source>Use and share</source>
        <translation>Benutzen und teilen</translation>
    </message>
    <message>
        <source>Use other or fewer words.</source>
        <translation>Nehmen Sie andere oder weniger Wörter.</translation>
    </message>
    <message>
        <source>Use revision</source>
        <translation>Revision</translation>
    </message>
    <message>
        <source>Use rotation</source>
        <translation>Rotation benutzen</translation>
    </message>
    <message>
        <source>Use the checkpoint</source>
        <translation>Den Checkpoint benutzen</translation>
    </message>
    <message>
        <source>Use this</source>
        <translation>Diese nehmen</translation>
    </message>
    <message>
        <source>Use this model</source>
        <translation>Dieses Modell benutzen</translation>
    </message>
    <message>
        <source>Use this recipe</source>
        <translation>Dieses Rezept benutzen</translation>
    </message>
    <message>
        <source>Use {name}</source>
        <translation>{name} nehmen</translation>
    </message>
    <message>
        <source>Verdict</source>
        <translation>Urteil</translation>
    </message>
    <message>
        <source>Version</source>
        <translation>Version</translation>
    </message>
    <message>
        <source>Version, diagnostics, licences</source>
        <translation>Version, Diagnose, Lizenzen</translation>
    </message>
    <message>
        <source>View</source>
        <translation>Ansicht</translation>
    </message>
    <message>
        <source>W4A16</source>
        <translation>W4A16</translation>
    </message>
    <message>
        <source>W4A4</source>
        <translation>W4A4</translation>
    </message>
    <message>
        <source>W4A4-R4</source>
        <translation>W4A4-R4</translation>
    </message>
    <message>
        <source>W4A4KV4 (paper)</source>
        <translation>W4A4KV4 (Arbeit)</translation>
    </message>
    <message>
        <source>W4A8</source>
        <translation>W4A8</translation>
    </message>
    <message>
        <source>W8A8</source>
        <translation>W8A8</translation>
    </message>
    <message>
        <source>WORKFLOW</source>
        <translation>ABLAUF</translation>
    </message>
    <message>
        <source>Warning</source>
        <translation>Warnung</translation>
    </message>
    <message>
        <source>Warnings of the run</source>
        <translation>Warnungen des Laufs</translation>
    </message>
    <message>
        <source>Weights</source>
        <translation>Gewichte</translation>
    </message>
    <message>
        <source>What differs</source>
        <translation>Unterschiede</translation>
    </message>
    <message>
        <source>What happens to activations before they are rounded.</source>
        <translation>Was mit Aktivierungen geschieht, bevor sie gerundet werden.</translation>
    </message>
    <message>
        <source>What is finished is being saved; then the window closes.</source>
        <translation>Was fertig ist, wird gesichert; dann schließt sich das Fenster.</translation>
    </message>
    <message>
        <source>What is on this computer comes first</source>
        <translation>Was auf diesem Computer ist, kommt zuerst</translation>
    </message>
    <message>
        <source>What suffers from rounding</source>
        <translation>Was unter dem Runden leidet</translation>
    </message>
    <message>
        <source>What suffers most from rounding</source>
        <translation>Was am meisten unter dem Runden leidet</translation>
    </message>
    <message>
        <source>What to show</source>
        <translation>Was gezeigt wird</translation>
    </message>
    <message>
        <source>What was written against what was computed</source>
        <translation>Was geschrieben wurde, gegen das, was berechnet wurde</translation>
    </message>
    <message>
        <source>What will happen</source>
        <translation>Was geschehen wird</translation>
    </message>
    <message>
        <source>Where</source>
        <translation>Wo</translation>
    </message>
    <message>
        <source>Where a run keeps what it needs to resume; beside the output by default</source>
        <translation>Wo ein Lauf aufbewahrt, was er zum Fortsetzen braucht; von sich aus neben der Ausgabe</translation>
    </message>
    <message>
        <source>Where it loads</source>
        <translation>Wo es lädt</translation>
    </message>
    <message>
        <source>Where the checkpoint is written</source>
        <translation>Wohin der Checkpoint geschrieben wird</translation>
    </message>
    <message>
        <source>Which block&apos;s tokens and linears are drawn</source>
        <translation>Welches Blocks Token und Linearschichten gezeichnet werden</translation>
    </message>
    <message>
        <source>Which input of the blocks is drawn</source>
        <translation>Welcher Eingang der Blöcke gezeichnet wird</translation>
    </message>
    <message>
        <source>Whip  DartQuant</source>
        <translation>Whip  DartQuant</translation>
    </message>
    <message>
        <source>Why</source>
        <translation>Warum</translation>
    </message>
    <message>
        <source>WikiText-2 (train)</source>
        <translation>WikiText-2 (train)</translation>
    </message>
    <message>
        <source>Will it load?</source>
        <translation>Wird es laden?</translation>
    </message>
    <message>
        <source>Window</source>
        <translation>Fenster</translation>
    </message>
    <message>
        <source>Windows</source>
        <translation>Fenster</translation>
    </message>
    <message>
        <source>Windows that are measured; 0 measures the whole text</source>
        <translation>Fenster, die gemessen werden; 0 misst den ganzen Text</translation>
    </message>
    <message>
        <source>With an access token of your account</source>
        <translation>Mit einem Zugangstoken Ihres Kontos</translation>
    </message>
    <message>
        <source>Work folder</source>
        <translation>Arbeitsordner</translation>
    </message>
    <message>
        <source>Worst first</source>
        <translation>Schlechteste zuerst</translation>
    </message>
    <message>
        <source>Worst first; dots are massive tokens</source>
        <translation>Schlechteste zuerst; Punkte sind massive Token</translation>
    </message>
    <message>
        <source>Worst first; each rounded alone, everything else exact</source>
        <translation>Schlechteste zuerst; jede allein gerundet, alles andere genau</translation>
    </message>
    <message>
        <source>Write a prompt first.</source>
        <translation>Schreiben Sie zuerst eine Eingabe.</translation>
    </message>
    <message>
        <source>Writing…</source>
        <translation>Es wird geschrieben…</translation>
    </message>
    <message>
        <source>Your own recipe, begun as {title}.</source>
        <translation>Ihr eigenes Rezept, begonnen als {title}.</translation>
    </message>
    <message>
        <source>Your own recipe.</source>
        <translation>Ihr eigenes Rezept.</translation>
    </message>
    <message>
        <source>a Householder rotation</source>
        <translation>eine Householder-Rotation</translation>
    </message>
    <message>
        <source>a number or {words}</source>
        <translation>eine Zahl oder {words}</translation>
    </message>
    <message>
        <source>a random Hadamard rotation</source>
        <translation>eine zufällige Hadamard-Rotation</translation>
    </message>
    <message>
        <source>a random orthogonal rotation</source>
        <translation>eine zufällige orthogonale Rotation</translation>
    </message>
    <message>
        <source>about {duration}</source>
        <translation>etwa {duration}</translation>
    </message>
    <message>
        <source>activations</source>
        <translation>Aktivierungen</translation>
    </message>
    <message>
        <source>and {number} more</source>
        <translation>und {number} weitere</translation>
    </message>
    <message>
        <source>any</source>
        <translation>jede</translation>
    </message>
    <message>
        <source>at the start</source>
        <translation>am Anfang</translation>
    </message>
    <message>
        <source>auto takes the GPU when there is one</source>
        <translation>auto nimmt die GPU, wenn es eine gibt</translation>
    </message>
    <message>
        <source>bits</source>
        <translation>Bit</translation>
    </message>
    <message>
        <source>block output</source>
        <translation>Ausgabe des Blocks</translation>
    </message>
    <message>
        <source>block {block}</source>
        <translation>Block {block}</translation>
    </message>
    <message>
        <source>block {block} · position {position}</source>
        <translation>Block {block} · Position {position}</translation>
    </message>
    <message>
        <source>block {block} · {short}</source>
        <translation>Block {block} · {short}</translation>
    </message>
    <message>
        <source>block {step:,} of {steps:,}</source>
        <translation>Block {step:,} von {steps:,}</translation>
    </message>
    <message>
        <source>descent</source>
        <translation>Abstieg</translation>
    </message>
    <message>
        <source>done</source>
        <translation>erledigt</translation>
    </message>
    <message>
        <source>error {error:.4f}</source>
        <translation>Fehler {error:.4f}</translation>
    </message>
    <message>
        <source>every runtime</source>
        <translation>jede Laufzeitumgebung</translation>
    </message>
    <message>
        <source>iteration {step:,} of {steps:,}</source>
        <translation>Iteration {step:,} von {steps:,}</translation>
    </message>
    <message>
        <source>largest |h|</source>
        <translation>größtes |h|</translation>
    </message>
    <message>
        <source>less than a minute</source>
        <translation>weniger als eine Minute</translation>
    </message>
    <message>
        <source>loads</source>
        <translation>lädt</translation>
    </message>
    <message>
        <source>loss</source>
        <translation>Verlust</translation>
    </message>
    <message>
        <source>loss −{share:.0f} %</source>
        <translation>Verlust −{share:.0f} %</translation>
    </message>
    <message>
        <source>mean of quantizing</source>
        <translation>Mittel beim Quantisieren</translation>
    </message>
    <message>
        <source>mean over massive tokens</source>
        <translation>Mittel über massive Token</translation>
    </message>
    <message>
        <source>model</source>
        <translation>Modell</translation>
    </message>
    <message>
        <source>no</source>
        <translation>nein</translation>
    </message>
    <message>
        <source>no massive tokens measured</source>
        <translation>keine massiven Token gemessen</translation>
    </message>
    <message>
        <source>no rotation</source>
        <translation>keine Rotation</translation>
    </message>
    <message>
        <source>not done</source>
        <translation>nicht gemacht</translation>
    </message>
    <message>
        <source>not evaluated</source>
        <translation>nicht ausgewertet</translation>
    </message>
    <message>
        <source>not measured yet</source>
        <translation>noch nicht gemessen</translation>
    </message>
    <message>
        <source>not searched yet</source>
        <translation>noch nicht gesucht</translation>
    </message>
    <message>
        <source>not started yet</source>
        <translation>noch nicht begonnen</translation>
    </message>
    <message>
        <source>not stated</source>
        <translation>nicht angegeben</translation>
    </message>
    <message>
        <source>not tried</source>
        <translation>nicht versucht</translation>
    </message>
    <message>
        <source>nothing refined yet</source>
        <translation>noch nichts verfeinert</translation>
    </message>
    <message>
        <source>nothing written</source>
        <translation>nichts geschrieben</translation>
    </message>
    <message>
        <source>of the sum</source>
        <translation>der Summe</translation>
    </message>
    <message>
        <source>of {size}</source>
        <translation>von {size}</translation>
    </message>
    <message>
        <source>original, dashed</source>
        <translation>Original, gestrichelt</translation>
    </message>
    <message>
        <source>other activations</source>
        <translation>andere Aktivierungen</translation>
    </message>
    <message>
        <source>passed</source>
        <translation>bestanden</translation>
    </message>
    <message>
        <source>paused</source>
        <translation>angehalten</translation>
    </message>
    <message>
        <source>peak {size}</source>
        <translation>Spitze {size}</translation>
    </message>
    <message>
        <source>pip downloads it; about {size} go to {folder}. `dfrot serve-check --remove {name}` deletes it again.</source>
        <translation>pip lädt sie herunter; etwa {size} kommen nach {folder}. `dfrot serve-check --remove {name}` löscht sie wieder.</translation>
    </message>
    <message>
        <source>rank {rank:,.0f} of {count:,}</source>
        <translation>Rang {rank:,.0f} von {count:,}</translation>
    </message>
    <message>
        <source>recipe {name}</source>
        <translation>Rezept {name}</translation>
    </message>
    <message>
        <source>refinement {step}</source>
        <translation>Verfeinerung {step}</translation>
    </message>
    <message>
        <source>refused</source>
        <translation>abgelehnt</translation>
    </message>
    <message>
        <source>relative error</source>
        <translation>relativer Fehler</translation>
    </message>
    <message>
        <source>seed {seed}</source>
        <translation>Startwert {seed}</translation>
    </message>
    <message>
        <source>signal {number}</source>
        <translation>Signal {number}</translation>
    </message>
    <message>
        <source>step {step:,} of {steps:,}</source>
        <translation>Schritt {step:,} von {steps:,}</translation>
    </message>
    <message>
        <source>stopping…</source>
        <translation>stoppt…</translation>
    </message>
    <message>
        <source>the rotation from a file</source>
        <translation>die Rotation aus einer Datei</translation>
    </message>
    <message>
        <source>the sample model</source>
        <translation>das Beispielmodell</translation>
    </message>
    <message>
        <source>token</source>
        <translation>Token</translation>
    </message>
    <message>
        <source>under way</source>
        <translation>im Gange</translation>
    </message>
    <message>
        <source>weights</source>
        <translation>Gewichte</translation>
    </message>
    <message>
        <source>weights on disk</source>
        <translation>Gewichte auf der Platte</translation>
    </message>
    <message>
        <source>yes</source>
        <translation>ja</translation>
    </message>
    <message>
        <source>{bits}, marked for 8</source>
        <translation>{bits}, für 8 markiert</translation>
    </message>
    <message>
        <source>{change:+.0f} % since start</source>
        <translation>{change:+.0f} % seit Beginn</translation>
    </message>
    <message>
        <source>{change} %, original → quantized</source>
        <translation>{change} %, Original → quantisiert</translation>
    </message>
    <message numerus="yes">
        <source>{count:,} of %n runs on this computer</source>
        <translation>
            <numerusform>{count:,} von %n Lauf auf diesem Computer</numerusform>
            <numerusform>{count:,} von %n Läufen auf diesem Computer</numerusform>
        </translation>
    </message>
    <message>
        <source>{count:,} tokens, sorted for each rotation; dots are massive tokens</source>
        <translation>{count:,} Token, für jede Rotation sortiert; Punkte sind massive Token</translation>
    </message>
    <message>
        <source>{done} of {total}</source>
        <translation>{done} von {total}</translation>
    </message>
    <message>
        <source>{dtype} · tied head</source>
        <translation>{dtype} · geteilter Kopf</translation>
    </message>
    <message>
        <source>{duration} elapsed</source>
        <translation>{duration} vergangen</translation>
    </message>
    <message>
        <source>{duration} left</source>
        <translation>noch {duration}</translation>
    </message>
    <message>
        <source>{files}, up to {size} on disk</source>
        <translation>{files}, bis {size} auf der Platte</translation>
    </message>
    <message>
        <source>{found}, reading…</source>
        <translation>{found}, werden gelesen…</translation>
    </message>
    <message>
        <source>{kl:.3g} nats a token</source>
        <translation>{kl:.3g} Nat je Token</translation>
    </message>
    <message>
        <source>{line} · finished in {duration}</source>
        <translation>{line} · fertig in {duration}</translation>
    </message>
    <message>
        <source>{line} · still running</source>
        <translation>{line} · läuft noch</translation>
    </message>
    <message>
        <source>{line} · stopped early</source>
        <translation>{line} · vorzeitig gestoppt</translation>
    </message>
    <message>
        <source>{model} failed</source>
        <translation>{model} ist fehlgeschlagen</translation>
    </message>
    <message>
        <source>{model} finished</source>
        <translation>{model} ist fertig</translation>
    </message>
    <message>
        <source>{model} stopped</source>
        <translation>{model} wurde gestoppt</translation>
    </message>
    <message>
        <source>{model} was deleted.</source>
        <translation>{model} wurde gelöscht.</translation>
    </message>
    <message>
        <source>{model} was interrupted</source>
        <translation>{model} wurde unterbrochen</translation>
    </message>
    <message>
        <source>{name} (this run)</source>
        <translation>{name} (dieser Lauf)</translation>
    </message>
    <message>
        <source>{name} could not be written: {reason}.</source>
        <translation>{name} konnte nicht geschrieben werden: {reason}.</translation>
    </message>
    <message>
        <source>{name} in use</source>
        <translation>{name} in Benutzung</translation>
    </message>
    <message>
        <source>{num_heads} heads · {num_kv_heads} KV · size {head_size}</source>
        <translation>{num_heads} Köpfe · {num_kv_heads} KV · Größe {head_size}</translation>
    </message>
    <message>
        <source>{pace:.1f} block/s</source>
        <translation>{pace:.1f} Block/s</translation>
    </message>
    <message>
        <source>{pace:.1f} it/s</source>
        <translation>{pace:.1f} It./s</translation>
    </message>
    <message>
        <source>{pace:.1f} s/block</source>
        <translation>{pace:.1f} s/Block</translation>
    </message>
    <message>
        <source>{pace:.1f} s/it</source>
        <translation>{pace:.1f} s/It.</translation>
    </message>
    <message>
        <source>{place}: largest |h|; triangles are massive tokens. Click a token for its errors.</source>
        <translation>{place}: größtes |h|; Dreiecke sind massive Token. Ein Klick zeigt die Fehler eines Tokens.</translation>
    </message>
    <message>
        <source>{rotation} lowers the massive tokens&apos; error by {massive:.0f} % against a random Hadamard rotation.</source>
        <translation>{rotation} senkt den Fehler der massiven Token um {massive:.0f} % gegenüber einer zufälligen Hadamard-Rotation.</translation>
    </message>
    <message>
        <source>{rotation} lowers the mean token error by {mean:.0f} % against no rotation and the massive tokens&apos; error by {massive:.0f} % against a random Hadamard rotation.</source>
        <translation>{rotation} senkt den mittleren Tokenfehler um {mean:.0f} % gegenüber keiner Rotation und den Fehler der massiven Token um {massive:.0f} % gegenüber einer zufälligen Hadamard-Rotation.</translation>
    </message>
    <message>
        <source>{rotation} lowers the mean token error by {mean:.0f} % against no rotation.</source>
        <translation>{rotation} senkt den mittleren Tokenfehler um {mean:.0f} % gegenüber keiner Rotation.</translation>
    </message>
    <message>
        <source>{runtime} is not installed. Make an environment for it?</source>
        <translation>{runtime} ist nicht installiert. Eine Umgebung dafür anlegen?</translation>
    </message>
    <message>
        <source>{runtime} on {generation}</source>
        <translation>{runtime} auf {generation}</translation>
    </message>
    <message>
        <source>{share:.0f} % higher than {rotation}</source>
        <translation>{share:.0f} % größer als {rotation}</translation>
    </message>
    <message>
        <source>{share:.0f} % lower than {rotation}</source>
        <translation>{share:.0f} % kleiner als {rotation}</translation>
    </message>
    <message>
        <source>{share:.1f} % of tokens are better</source>
        <translation>{share:.1f} % der Token sind besser</translation>
    </message>
    <message>
        <source>{share:.2g} % of {rows:,} rows</source>
        <translation>{share:.2g} % von {rows:,} Zeilen</translation>
    </message>
    <message>
        <source>{size} are free again.</source>
        <translation>{size} sind wieder frei.</translation>
    </message>
    <message>
        <source>{size} become free. Other programs that use the Hub&apos;s cache lose it as well, and a run that still needs it downloads it again.</source>
        <translation>{size} werden frei. Andere Programme, die den Cache des Hubs benutzen, verlieren es ebenfalls, und ein Lauf, der es noch braucht, lädt es erneut herunter.</translation>
    </message>
    <message>
        <source>{size} before</source>
        <translation>{size} vorher</translation>
    </message>
    <message>
        <source>{size} of files</source>
        <translation>{size} an Dateien</translation>
    </message>
    <message numerus="yes">
        <source>{size} to download · %n files</source>
        <translation>
            <numerusform>{size} herunterzuladen · %n Datei</numerusform>
            <numerusform>{size} herunterzuladen · %n Dateien</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{size} · %n files</source>
        <translation>
            <numerusform>{size} · %n Datei</numerusform>
            <numerusform>{size} · %n Dateien</numerusform>
        </translation>
    </message>
    <message>
        <source>{state}, can be resumed</source>
        <translation>{state}, fortsetzbar</translation>
    </message>
    <message>
        <source>{title} (Ctrl+{number})</source>
        <translation>{title} (Strg+{number})</translation>
    </message>
    <message>
        <source>{tokens:,} tokens · {pace:.1f} a second</source>
        <translation>{tokens:,} Token · {pace:.1f} je Sekunde</translation>
    </message>
    <message>
        <source>{tokens:,} tokens, cut off · {pace:.1f} a second</source>
        <translation>{tokens:,} Token, abgeschnitten · {pace:.1f} je Sekunde</translation>
    </message>
    <message>
        <source>{told}; at most {most} can be compared</source>
        <translation>{told}; höchstens {most} lassen sich vergleichen</translation>
    </message>
    <message>
        <source>{used:.1f} of {total} in use</source>
        <translation>{used:.1f} von {total} belegt</translation>
    </message>
    <message>
        <source>{value:,.1f}, massive</source>
        <translation>{value:,.1f}, massiv</translation>
    </message>
    <message>
        <source>{what}. {full_reason} Known for version {version}.</source>
        <translation>{what}. {full_reason} Bekannt für Version {version}.</translation>
    </message>
</context>
</TS>
