"""What each table shows, in a sentence or two; how it was made stands in the table's own notes."""

TABLES = {
    "table1": "Epochs until the training reward reaches the highest level, for the baseline and "
    "for PCPO. A speed-up above 0 means that PCPO needs fewer epochs.",
    "table2a": "Images of the checkpoints whose rewards match: how far they lie from the base "
    "model's (FID and FD-DINOv2, lower is nearer), their Inception Score and their diversity, for "
    "half and full batches of DDPO.",
    "table2b": "The same measurements for DanceGRPO on two base models.",
    "table3": "What the choice of algorithm, the batch size and the two together do to each metric "
    "of a prompt, by a linear mixed model. Negative coefficients of the algorithm mean that PCPO "
    "lowers the metric.",
    "table4": "What PCPO does to each metric of a prompt, model by model, by a linear mixed model.",
    "table5a": "Scores of images for captions that were not trained on (COCO): the base model, the "
    "baseline and PCPO, at the epochs that the paper compares and at the pair matched in reward.",
    "table5b": "The same scores for the prompts of MJHQ.",
    "table9": "What training with PCPO gains over the base model in four scores. The rows of other "
    "methods are quoted from their papers and were not run.",
    "table10": "Table 1 for all six configurations and every reward level.",
}
