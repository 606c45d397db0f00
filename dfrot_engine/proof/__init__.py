"""What a run proves about the files it wrote: the fold, every tensor, the reloaded model, the texts it writes."""
