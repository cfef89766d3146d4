"""What this book asks beyond the paper, and by which criterion each answer is judged.

Written on 2026-11-26, before any of the runs that judge them; a later change is an amendment, with
date and reason. What was known: the published tables of Conv-2 on MNIST and Fashion-MNIST, and the
sources each claim names. The words, intervals and outcomes are those of `criteria`.
"""

from ledger.criteria import Criterion

ACCURACY = 0.90
"""The level of training accuracy of all thresholds here that name no other."""

QUESTIONS = (
    Criterion(
        "whose-randomness",
        "Subspaces of one initialization agree as well as convex geometry lets them",
        "With one initialization, random nested subspaces first reach a level at training "
        "dimensions that spread no more than convex geometry allows, sqrt(2/d*)/ln 2 octaves; "
        "what is left of the width of the transition comes from the initialization.",
        "Slides, discussion; Appendix B.4 for convex sets",
        "Conv-2 on MNIST, 90 % training accuracy, d in steps of 1/16 octave from 128 to 1024 by "
        "bisection, 10 initializations with 6 nested chains of subspaces each. The variance of "
        "log2 d_hit within initializations, chi-square interval with 50 degrees of freedom, as "
        "a spread in octaves: at most sqrt(2/d*)/ln 2 at the mean d_hit. A spread of the grid, "
        "1/(16 sqrt(12)) octaves, is within it.",
        "beyond_geometry",
        amended="2026-11-26, after the run: the title was that the initialization moves the "
        "threshold more than the subspace does, which the criterion does not ask. Then ten new "
        "initializations, seeds 5 to 14, in place of five, which had left it undecided (0.083 "
        "[0.065, 0.114] octaves against 0.114) and are not among the ten.",
    ),
    Criterion(
        "equality-for-a-network",
        "For a network the threshold is not where Eq. 3.3 puts it",
        "A sublevel set that is not convex is hit later than its width says: d_hit exceeds D - "
        "w^2 by at least a fifth at a low loss.",
        "Section 3.2, Eq. 3.3, read as an equality",
        "MLP on the digits, D = 2410, training loss 0.24. w is bounded below by the mean over "
        "20 Gaussian directions g of the largest found <g, u>/|u| with u = w - w0 certified to "
        "lie in the set, so that D - w^2 is bounded above; d_hit is the mean over 20 nested "
        "chains of the first d at which L-BFGS from 8 starts reaches the loss. The ratio "
        "d_hit/(D - w^2), with the intervals of both means taken at 97.5 %, must be at least "
        "1.2. At losses 1 and 0.5 the ratio is shown, not judged.",
        "beyond_geometry",
    ),
    Criterion(
        "size-of-the-model",
        "The threshold hardly knows the size of the model",
        "Networks with more parameters need hardly more training dimensions for the same "
        "accuracy, so that the threshold is a shrinking fraction of D (Li et al. 2018, for "
        "their networks).",
        "Li et al. 2018, section 3; not tested by the paper",
        "Fully connected networks on MNIST, widths 50, 100, 200 and 400, depths 1 to 3, "
        "Hadamard directions, quarter-octave bisection, 5 seeds, at 90 % training accuracy for "
        "all. The slope of log d_hit on log D by least squares, one slope for each seed, "
        "t-interval: below 0.1.",
        "beyond_training",
    ),
    Criterion(
        "bits-bound-the-error",
        "Few degrees of freedom are few bits, and few bits bound the test error",
        "The code of a network trained in a random subspace is short enough for a bound on the "
        "test error that says something, and the bound is best near the threshold.",
        "Slides, compression; Lotfi et al. 2022",
        "Conv-2 on MNIST and on Fashion-MNIST, t = 0, d = 64 to 2048 by octaves, 3 seeds, θ "
        "rounded to the number of levels (2, 4, 8, 16, 32) with the least bound; which one is "
        "part of the code. On each data set: the mean bound at 95 % confidence must lie below "
        "half of what guessing gives (45 %) at some d, and the d of the least mean bound within "
        "two octaves of the mean d_hit of 90 % of the baseline's accuracy.",
        "beyond_training",
    ),
    Criterion(
        "random-labels-cost-more",
        "Random labels need many more degrees of freedom",
        "Labels without a rule need at least eight times as many training dimensions as the "
        "true ones for the same training accuracy.",
        "Zhang et al. 2017; Li et al. 2018, section 4",
        "Conv-2, the first 5,000 images of MNIST, 3 seeds, octaves of d up to D, ten times the "
        "epochs of the true labels for both, 90 % training accuracy: the mean of log2 "
        "d_hit(random) - log2 d_hit(true), t-interval, must be at least 3. A seed that never "
        "reaches it counts as D, which makes the difference smaller.",
        "beyond_training",
        amended="2026-11-26: a seed reaches the level where either of two trainings does, 30 "
        "epochs at the rate 5e-2 or 100 at 3e-3. At 5e-2 random labels are at chance even with all "
        "D dimensions, so that the first training alone speaks of the optimizer.",
    ),
    Criterion(
        "redrawn-directions",
        "Directions drawn anew at every step train far beyond their number",
        "The threshold does not concern the number of directions that training has at a time.",
        "Gressmann et al. 2020",
        "Conv-2 on MNIST, 3 seeds, d = 16, 64 and 256, the same steps and optimizer settings, "
        "directions kept, or drawn anew after every 100, 10 or 1 steps: at d = 64 the training "
        "accuracy of new directions at every step less that of fixed ones, paired, t-interval: "
        "at least 10 percentage points. The rest is shown.",
        "beyond_training",
        amended="2026-11-26, after the run: the claim went on that the span explored is what "
        "counts. The criterion does not test that, and the table speaks against it.",
    ),
    Criterion(
        "early-path",
        "The first tenth of the path gives most of what lottery directions give",
        "What makes lottery directions good is visible early in full training.",
        "Appendix A.2; Li et al. 2022",
        "Conv-2 on MNIST, 3 seeds, d = 16: the gain in training accuracy over random directions "
        "of directions from the first 10 % of the path, as a share of the gain of those from "
        "all of it; paired, t-interval: at least 90 %. Shares of 2, 5 and 25 % are shown, in "
        "three bases.",
        "beyond_geometry",
    ),
    Criterion(
        "top-hessian-space",
        "Training stalls in the top of the spectrum and not off it",
        "Gradients lie mostly in the space of the ten largest eigenvalues of the Hessian, yet "
        "training confined to it stalls, and training off it does not.",
        "Song et al. 2024; against Appendix A.2",
        "Conv-2 on MNIST, from w_100 of full training, 10 seeds, the ten top eigenvectors "
        "computed anew every 20 steps, one epoch of plain gradient descent: the fall of the "
        "training loss, as a share of the fall of unconfined descent, paired, t-intervals (97.5 "
        "% each): at most one half for steps in the top space and at least 90 % for steps off "
        "it.",
        "beyond_geometry",
        amended="2026-11-26, before the run: ten new seeds, 3 to 12, in place of three, which had "
        "left it undecided (26 [-45, 96] % in the top space, 99 off it) and are not among the ten. "
        "This note of it was forgotten then and written on 2026-11-27, after the run.",
    ),
    Criterion(
        "tasks-in-blocks",
        "Tasks in disjoint nearly orthogonal blocks disturb each other",
        "Orthogonal directions do not protect an earlier task: a later block moves all logits.",
        "Slides, discussion: many subspaces at once",
        "Conv-2 and four permutations of MNIST's pixels, one block of d = 512 fixed random "
        "directions for each, trained one after another with earlier blocks frozen, 3 seeds: "
        "the test accuracy on the first task falls by at least 10 percentage points from its "
        "own end to the end of the fourth; t-interval. Blocks made orthogonal to the first "
        "tasks' gradients are shown beside it.",
        "beyond_training",
    ),
    Criterion(
        "two-solutions",
        "Two random subspaces that hit find different solutions",
        "The solutions of two independent random subspaces are separated by a barrier, and the "
        "average of their predictions is better than either.",
        "Slides, discussion: two subspaces hit the solution",
        "Conv-2 on MNIST, one initialization, two subspaces of d = 2048, 10 seeds. The largest "
        "training loss on the segment between the solutions less the larger of the two ends' "
        "must be above 0, and the test accuracy of averaged probabilities less that of the "
        "better one above 0; t-intervals (97.5 % each).",
        "beyond_training",
        amended="2026-11-26: ten new seeds, 3 to 12, in place of three, which had left both "
        "questions undecided (barrier 0.04 [-0.15, 0.23], gain 0.64 [-0.78, 2.05] points) and are "
        "not among the ten.",
    ),
    Criterion(
        "text",
        "On text, the compression at the threshold is larger than on images",
        "A transformer on text reaches the same relative loss at a smaller fraction of its "
        "parameters than Conv-2 does on images.",
        "Slides, discussion: larger D/d_int for transformers and text?",
        "A character transformer of two blocks on public-domain text, 3 seeds, octaves of d. "
        "The relative loss is the share of the fall from the loss at w0 to that of full "
        "training, 80 % of it: log2 D/d_hit less that of Conv-2 on MNIST at the same share, "
        "unpaired t-interval (Welch): above 0.",
        "beyond_training",
    ),
    Criterion(
        "pruning-limit",
        "Tickets break where the statistical dimension of a ball says",
        "The smallest number of weights at which lottery tickets still train is the statistical "
        "dimension that the Hessian's spectrum gives at their distance (Zhang et al. 2023).",
        "Zhang et al. 2023, bound on the pruning ratio",
        "Conv-2 on MNIST, 5 seeds: the bound from the Lanczos spectrum at the trained weights "
        "against the number of weights at which tickets lose one percentage point of training "
        "accuracy, interpolated in log2; the mean of their ratio in octaves, t-interval, within "
        "1.",
        "beyond_geometry",
    ),
)
