"""What the paper claims, in our words, and by which criterion each claim is judged.

The criteria were written before the runs that judge them existed (the history of this file is the
witness). `ledger` ties each to the function that applies it; numbers that a criterion names are the
constants below, and the judges use the same ones.

Words used by the criteria:

- A *panel* is one network on one data set, with the paper's number of runs n (`RUNS`).
  Lottery subspaces, tickets and random pruning need 5 (the paper: "at least 5" for tickets, n for
  lottery subspaces), or n where that is less. Where the text leaves a choice open (basis of the
  trajectory, retraining of tickets) the package's default counts; its variants are compared in
  the chapter on lottery subspaces.
- The *baseline* of a panel is the mean best training accuracy of full training at the better of
  two learning rates. Levels of accuracy are 80, 90, 95 and 98 % of it (`FRACTIONS`).
- delta = 1 / n ("all but one"). Thresholds at this delta are different quantiles for 10, 5 and 3
  runs (success probability 0.84, 0.69, 0.50), so panels are compared by d_hit instead.
- *d_hit* of an initialization is where its accuracy first reaches the level, interpolated in log2 d
  between the grid point that does and the one before. Contrasts are paired: one seed is one
  initialization for every method, t and d.
- Intervals have nominal coverage 95 % and resample or average over initializations: Student's t
  over seeds for means, percentile bootstrap over seeds for the rest. With 3 or 5 initializations
  the bootstrap's are too short and the t-intervals wide.
- A panel *holds* if its whole interval lies on the claim's side, *holds in part* if the figure does
  but the interval reaches across, and *fails* otherwise, unless a criterion says more.
- A claim is reproduced if every panel that was run holds, not reproduced if every one fails, and
  reproduced in part otherwise. How many of the paper's panels were run is said beside the verdict.
"""

from dataclasses import dataclass

RUNS = {"conv2": 10, "conv3": 5, "resnet20": 3}
"""Initializations per panel (captions of Figs. 2, 7 and 8)."""
LOTTERY_RUNS = 5
"""Initializations asked of lottery subspaces, tickets and random pruning; n where that is less."""
BURN_INS = {"conv2": (0, 4, 8, 16), "conv3": (0, 4, 8, 16), "resnet20": (0, 8, 16)}
DIMS = tuple(2**i for i in range(13))
"""The training dimensions a panel must have: 1, 2, 4 ... 4096."""
IMAGES = ("mnist", "fashion_mnist", "cifar10")
FRACTIONS = (0.80, 0.90, 0.95, 0.98)
LOSS_FACTORS = (1 / 2, 1 / 4, 1 / 8)
"""Loss levels, as parts of the mean training loss at w_0."""

SHARP_OCTAVES = 2.0
TRACKED_SHARE = 0.95
SMALL_FRACTION = 0.10
LARGE_WIDTH = 0.90
EARLY_DIMS = 128
POINT = 0.01
FULL_ACCURACY_DIMS = (20, 60)
HIGH_COMPRESSION = 50
COLLAPSE_COMPRESSION = 100
COLLAPSE_SHARE = 0.90
SPECTRUM_LENGTH = 64
CLASS_STEP = (8, 16)
NTK_OCTAVES = 1.0
NTK_RUNS = 3
FALLEN_OFF = 0.10
WELL_SHARP = 0.10
WELL_EPS = 0.02
WELL_HALF = (0.45, 0.55)
PRINTED_D = {
    ("mnist", "conv2"): 20.5, ("fashion_mnist", "conv2"): 20.5, ("cifar10", "conv2"): 25.6,
    ("mnist", "conv3"): 61.5, ("fashion_mnist", "conv3"): 61.5, ("cifar10", "conv3"): 66.5,
    ("mnist", "resnet20"): 272.2, ("fashion_mnist", "resnet20"): 272.2,
    ("cifar10", "resnet20"): 272.5,
}  # fmt: skip
"""Thousands of parameters in the captions of Figs. 3 and 6."""

FIG2_PANELS = tuple((name, "conv2") for name in (*IMAGES, "svhn_cropped"))
OTHER_PANELS = tuple((name, network) for network in ("conv3", "resnet20") for name in IMAGES)
FIG3_PANELS = tuple((name, network) for network in RUNS for name in IMAGES)


@dataclass(frozen=True)
class Criterion:
    """One claim of the paper and how it is judged.

    Args:
        id: Its name in addresses and code.
        title: The claim in a few words.
        claim: What the paper says, in our words.
        place: Where it says so.
        criterion: When it counts as reproduced.
        page: Page of this book with the figure, without suffix.
        figure: Label of the figure there; empty for the page itself.
    """

    id: str
    title: str
    claim: str
    place: str
    criterion: str
    page: str
    figure: str = ""


CRITERIA = (
    Criterion(
        "sharp-transition",
        "The success probability jumps from 0 to 1",
        "For each way of training in a random subspace, the success probability goes sharply from "
        "0 to 1 as the training dimension passes a threshold.",
        "Abstract; section 2.1, first trend; Fig. 2",
        "For every t and each of the four levels, take the number of octaves from the last d of "
        "the grid up to which at most a fraction δ of the runs succeeds to the first d from which "
        "on at least 1 − δ do. The median over levels and t must be at most 2 octaves (at most "
        "one grid point inside the transition), interval included. Levels that more than δ of the "
        "runs reach at d = 1, or that the grid does not settle, are left out.",
        "phase_transition", "fig-2-mnist",
    ),
    Criterion(
        "threshold-tracks-boundary",
        "The threshold d* tracks the phase boundary",
        "The threshold training dimension follows the tight boundary between failure and success.",
        "Section 2.1, second trend; Fig. 2",
        "Over 41 accuracies spread evenly between the phase boundary at the smallest and at the "
        "largest d, classify every grid point at least one octave above d* as success and every "
        "one at least two octaves below it as failure. The share of these points with a success "
        "probability of at least 1 − δ, or at most δ, must be at least 95 %, interval included. "
        "(d* itself is left out: there it is true by definition.)",
        "phase_transition", "fig-2-mnist",
    ),
    Criterion(
        "threshold-rises-as-loss-falls",
        "A lower loss needs more dimensions",
        "The threshold increases as the desired final loss decreases.",
        "Abstract; section 2.1, third trend; Fig. 2",
        "Sublevel sets are nested, so the threshold cannot fall as the loss does; the claim is "
        "that it rises. For every t, the mean over seeds of log2 of the ratio of d_hit at the "
        "lower to d_hit at the higher of two training losses: one half of the mean loss at w_0, "
        "and the lowest of one quarter and one eighth of it that some run reaches. It must be "
        "above 0 with its interval for every t; the least is shown. Runs that miss a level "
        "count as d = 4096. d_hit is taken on the grid here: interpolation alone would set two "
        "levels apart.",
        "phase_transition", "fig-2-mnist",
    ),
    Criterion(
        "burn-in-lowers-threshold",
        "At high accuracy, burn-in lowers the threshold",
        "At high accuracy, starting after 16 steps of full training lowers the threshold training "
        "dimension against starting at the initialization.",
        "Section 2.1, fourth trend; Fig. 2, last column",
        "The level is the highest of the four that every seed reaches within the grid at every t "
        "and that no seed has at w_16 itself. There, the mean over seeds of log2 d_hit(t = 16) − "
        "log2 d_hit(t = 0) must be below 0 with its interval.",
        "phase_transition", "fig-2-mnist",
    ),
    Criterion(
        "more-burn-in-lower-threshold",
        "The more burn-in, the lower the threshold",
        "At high accuracy the thresholds are ordered: t = 16 lowest, then t = 8, then t = 4, and "
        "random affine subspaces highest.",
        "Section 2.1, fourth trend; Fig. 2, last column",
        "At the level of the previous claim: the slope of each seed's log2 d_hit against the rank "
        "of t must be below 0 on average over seeds with its interval, and the means of log2 d_hit "
        "must be in the stated order. In part: the mean slope is below 0.",
        "phase_transition", "fig-2-mnist",
    ),
    Criterion(
        "threshold-falls-with-initial-loss",
        "A lower initial loss needs fewer dimensions",
        "The threshold decreases as the initial loss decreases.",
        "Abstract; section 3.1",
        "The level is the lowest training loss among 1/2, 1/4 and 1/8 of the mean loss at w_0 that "
        "every seed reaches within the grid at every t and that no seed has at any w_t. The slope "
        "of each seed's log2 d_hit against the logarithm of its loss at w_t, over the values of t, "
        "must be above 0 on average over seeds with its interval.",
        "phase_transition", "fig-2-mnist",
    ),
    Criterion(
        "other-architectures",
        "Conv-3 and ResNet20 show the same",
        "The results for the two other architectures are similar.",
        "Section 2.1; appendix A, Figs. 7 and 8",
        "Conv-3 and ResNet20 on three data sets: the criteria of the first, third and fourth trend "
        "(sharp transition, more dimensions for a lower loss, fewer with burn-in), each with its "
        "own figure. A panel holds if all three hold and fails if all three fail.",
        "phase_transition", "fig-2-mnist",
    ),
    Criterion(
        "test-accuracy",
        "The trends hold for test accuracy",
        "The broad trends hold for both training and test accuracy, for all three models.",
        "Section 2.1, Fig. 3",
        "With levels as parts of the baseline's test accuracy: d_hit at the highest level that "
        "every seed reaches at every t must exceed that at 80 % (t = 0, on the grid), and the "
        "criterion of burn-in lowering the threshold must hold for test accuracy. A panel holds if "
        "both do and fails if neither does; the contrast of burn-in is shown.",
        "phase_transition", "fig-3",
    ),
    Criterion(
        "small-fraction",
        "The threshold is a small fraction of D",
        "The threshold training dimension is a small fraction of the number of parameters.",
        "Abstract",
        "For random affine subspaces (t = 0) at 90 % of the baseline: the geometric mean of d_hit "
        "over seeds, divided by D, must be at most 10 % with its interval.",
        "phase_transition", "fig-2-mnist",
    ),
    Criterion(
        "large-width",
        "The Gaussian width of low-loss sets is very large",
        "Training with few dimensions is possible because low-loss sublevel sets, seen from the "
        "initialization, have a Gaussian width whose square is close to D.",
        "Abstract; section 3.1",
        "Eq. 3.3 is no equality for sets that are not convex, but one direction is a theorem: if "
        "the success probability at d is at least p, then w ≥ α(D − d) − √(2 ln 1/p). For the loss "
        "sublevel set at one half of the mean loss at w_0 and t = 0, with d the threshold d* and p "
        "the lower end of Wilson's interval there, this bound on w²/D must be at least 90 %. It is "
        "one-sided and holds for at least one initialization in the support of the draw.",
        "gaussian_width", "",
    ),
    Criterion(
        "parameter-counts",
        "The networks have the printed numbers of parameters",
        "25.6k, 66.5k and 272.5k parameters for CIFAR-10; 20.5k, 61.5k and 272.2k for MNIST and "
        "Fashion-MNIST.",
        "Captions of Figs. 3 and 6",
        "D of the runs, in thousands and rounded to one decimal, must equal the printed number.",
        "phase_transition", "",
    ),
    Criterion(
        "burn-in-early-dimensions",
        "Burn-in curves rise from their start, and lie higher",
        "In most cases the burn-in experiments rise above the accuracy of their initialization as "
        "d grows, and are ahead of random affine subspaces.",
        "Related work; appendix A.3, Fig. 12",
        "All panels of Fig. 3 but Conv-3 on MNIST, which the paper excepts. The mean over seeds "
        "and over the grid's d ≤ 128 of the training accuracy at t = 16 less that at t = 0 must be "
        "above 0 with its interval, and at d = 128 the runs with t = 16 must on average be at "
        "least one percentage point above w_16.",
        "phase_transition", "fig-12",
    ),
    Criterion(
        "conv3-mnist-exception",
        "Conv-3 on MNIST gains nothing from burn-in",
        "For Conv-3 on MNIST, burn-in appears to give no advantage.",
        "Appendix A.3, Fig. 12",
        "The figure of the previous claim for t = 16 must be at most one percentage point with its "
        "interval. In part: the figure is, the interval is not.",
        "phase_transition", "fig-12",
    ),
    Criterion(
        "lottery-beats-random",
        "Lottery subspaces beat random subspaces",
        "At the same training dimension, lottery subspaces reach much higher accuracy than random "
        "affine subspaces.",
        "Section 4; Figs. 3 and 6",
        "Paired over seeds at every shared d ≤ 128: running maximum of the lottery subspace's "
        "training accuracy less the accuracy of the random affine subspace. The interval must lie "
        "above 0 at every shared d; the least favourable is shown. In part: at half of them or "
        "more.",
        "lottery", "fig-6",
    ),
    Criterion(
        "lottery-beats-burn-in",
        "Lottery subspaces lie above all other curves",
        "Lottery subspaces reach higher accuracy than burn-in affine subspaces too.",
        "Section 4; Fig. 3, purple lines",
        "As the previous claim, against the best of the burn-in times at each d (best by its mean "
        "over seeds).",
        "lottery", "fig-6",
    ),
    Criterion(
        "lottery-full-accuracy",
        "20 to 60 lottery dimensions give full accuracy",
        "Lottery subspaces of 20 to 60 dimensions, depending on data set and architecture, attain "
        "the accuracy of the full model.",
        "Section 4; Fig. 3",
        "\"Full accuracy\" is the baseline less one percentage point of training accuracy. The "
        "geometric mean over seeds of the d_hit of lottery subspaces (running maximum) must lie in "
        "[20, 60] with its interval. Fails: the whole interval lies above 60, or a seed never "
        "gets there and the others' interval lies above 60. In part: otherwise, fewer than 20 "
        "included.",
        "lottery", "fig-6",
    ),
    Criterion(
        "lottery-beats-tickets",
        "Lottery subspaces beat lottery tickets at high compression",
        "At few dimensions (high compression) lottery subspaces significantly outperform lottery "
        "tickets.",
        "Section 4; Fig. 6",
        "Paired over seeds at every size d of a ticket with compression D/d ≥ 50 that is no larger "
        "than the largest lottery subspace: running maximum of the lottery subspace's training "
        "accuracy at the largest grid point ≤ d, less that of the ticket. The interval must lie "
        "above 0 at every such d; the least favourable is shown. In part: at half of them or more.",
        "lottery", "fig-6",
    ),
    Criterion(
        "tickets-no-better",
        "Lottery tickets do not beat random affine subspaces",
        "Where the two overlap (d ≤ 4096), lottery tickets do not outperform random affine "
        "subspaces.",
        "Section 4; Fig. 6",
        "All panels of Fig. 6 but Conv-2 on CIFAR-10. Paired over seeds at every size d ≤ 4096 of "
        "a ticket: training accuracy of the ticket less that of random affine subspaces, "
        "interpolated in log2 d; intervals of 95 % for all d jointly (Bonferroni). The upper end "
        "must be at most one percentage point at every d. Fails: at some d the lower end is above "
        "one percentage point. In part: otherwise. The largest difference is shown.",
        "lottery", "fig-6",
    ),
    Criterion(
        "tickets-exception",
        "… except Conv-2 on CIFAR-10",
        "Lottery tickets do outperform random affine subspaces for Conv-2 on CIFAR-10.",
        "Section 4; Fig. 6",
        "The figure of the previous claim for this panel: at some d the lower end must be above 0. "
        "In part: the largest difference is above 0.",
        "lottery", "fig-6",
    ),
    Criterion(
        "layer-collapse",
        "Layers collapse at high compression",
        "Lottery tickets do badly at high compression because whole layers are pruned away.",
        "Section 4; Fig. 6",
        "Among the tickets with compression D/d ≥ 100 that end below half of the baseline's "
        "accuracy, the share with a layer without any kept weight must be at least 90 % with its "
        "interval (bootstrap over seeds). In part: at least 50 %. Fails as well if no such ticket "
        "ends below half of the baseline.",
        "lottery", "fig-6",
    ),
    Criterion(
        "table-1-order",
        "The more training is used, the fewer dimensions are needed",
        "From left to right in Table 1 fewer degrees of freedom reach a given accuracy.",
        "Section 4; Table 1",
        "At 90 % of the baseline, paired over seeds: log2 d_hit of lottery tickets less that of "
        "random pruning; of burn-in affine (t = 16) less random affine; of lottery subspaces less "
        "burn-in affine (t = 16). All three must be below 0 with their intervals; the largest is "
        "shown. In part: at least one is. Where a curve reaches the level outside the range of "
        "d that the two share, or never, the nearer end of that range counts.",
        "lottery", "",
    ),
    Criterion(
        "spectra-consistent",
        "Trajectory spectra depend on the data, not on the network",
        "The singular values of the training trajectory are generally consistent across "
        "architectures for a given data set.",
        "Appendix A.2; Figs. 10 and 11",
        "Take log10 of the first 64 singular values, normalized to unit sum of squares, averaged "
        "over seeds. For each data set, the mean root-mean-square distance between architectures, "
        "divided by the mean distance between data sets at the same architecture, must be below 1 "
        "with its interval (bootstrap over seeds).",
        "lottery", "",
    ),
    Criterion(
        "accuracy-falls-with-spectrum",
        "On CIFAR-10, accuracy falls where singular values vanish",
        "Without the running maximum, accuracy falls beyond a certain dimension, particularly on "
        "CIFAR-10, as the singular values of the added directions fall towards 0.",
        "Appendix A.2; Figs. 10 and 11",
        "CIFAR-10, three networks: the mean accuracy at the largest d of the lottery subspaces "
        "must be at least one percentage point below the largest mean over d (paired over seeds, "
        "with its interval), and the singular value at that d at most 10 % of the first. In part: "
        "the figures are, the interval is not.",
        "lottery", "",
    ),
    Criterion(
        "cifar10-ten",
        "On CIFAR-10 accuracy jumps at d = 10",
        "Lottery subspaces on CIFAR-10 show a sharp transition of accuracy around d = 10, the "
        "number of classes; little is learned in the first directions.",
        "Appendix A.2; Fig. 11, right",
        "CIFAR-10, three networks: among neighbouring grid points d < d' with d' ≤ 128, the one "
        "with the largest gain of mean training accuracy per octave must overlap (8, 16), in 95 % "
        "of the bootstrap samples over seeds; its middle is shown. In part: it does in the sample "
        "itself. The singular vectors are those of the released code (increments).",
        "lottery", "",
    ),
    Criterion(
        "ntk-threshold-close",
        "The linearized network has about the same threshold",
        "The threshold of the network linearized around a trained optimum approximates that of the "
        "network fairly well (Conv-2 on MNIST and Fashion-MNIST).",
        "Appendix A.1; Fig. 9",
        "Paired over seeds, at 80, 90 and 95 % of the network's highest mean training accuracy: "
        "the mean of log2 d_hit(linearized) − log2 d_hit(network) must lie within one octave of 0 "
        "with its interval at every level; the one farthest from 0 is shown. Levels that a seed "
        "does not reach in one of the two count as its largest d.",
        "ntk_linearization", "",
    ),
    Criterion(
        "learning-rate",
        "5e-2 works much better than 1e-2 in subspaces",
        "For training in subspaces, the learning rate 5e-2 works substantially better than 1e-2.",
        "Appendix A.4",
        "Random affine subspaces at the two rates, all else equal, paired over seeds: the mean "
        "over shared d of the training accuracy at 5e-2 less that at 1e-2 must be at least one "
        "percentage point with its interval.",
        "phase_transition", "",
    ),
    Criterion(
        "well-transition",
        "In a quadratic well: a transition, earlier when closer",
        "The quadratic well shows a phase transition, and its threshold falls as the start moves "
        "closer to the minimum.",
        "Section 3.2; Fig. 5",
        "At a loss of 2 % of that at the farthest start, for distances R, R/2 and R/4: the range "
        "of d from 10 % to 90 % success must be at most 10 % of D, and d* must fall with every "
        "halving, both with their intervals (bootstrap over runs, each with its own start).",
        "quadratic_well", "fig-qw-paper",
    ),
    Criterion(
        "well-half",
        "Half soft, half stiff: low loss is hit from D/2 on",
        "With half of the eigenvalues small, low-loss sublevel sets begin to be hit at D/2.",
        "Section 3.2; Fig. 5, top row",
        "At 2 % of the loss at the start, success must be at most 10 % at d = 0.45 D and at least "
        "90 % at d = 0.55 D, that is: the 10 % and 90 % quantiles of the first hit lie in between, "
        "with their intervals.",
        "quadratic_well", "fig-qw-paper",
    ),
    Criterion(
        "well-bound",
        "Eq. 3.4 bounds the threshold from above",
        "D minus the right side of Eq. 3.4 is an upper bound on the threshold training dimension.",
        "Section 3.2; Eq. 3.4; Fig. 5, dashed",
        "d*(δ = 0.1) less the bound must be at most 0 at every loss on the grid, interval "
        "included; the largest is shown. In part: the figure is, an interval is not. Fails: a "
        "figure is above 0.",
        "quadratic_well", "fig-qw-violation",
    ),
    Criterion(
        "well-bound-tight",
        "The bound is tighter near zero loss",
        "The upper bound on the threshold is tighter for losses near 0.",
        "Caption of Fig. 5",
        "The distance between the bound and d* at 0.01 % of the loss at the start must be below "
        "that at 50 %, with the interval of the difference.",
        "quadratic_well", "fig-qw-paper",
    ),
)  # fmt: skip
