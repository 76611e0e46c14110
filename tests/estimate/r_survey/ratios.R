# Ratio estimates and standard errors of R's survey package (Lumley 2004) for the draws in a folder, as JSON.
# Rscript ratios.R FOLDER: FOLDER/DESIGN.csv has one row per draw, sorted by unit; see ../drawn.py.
# A segment is a domain by zeros, not by subset(): the padding of subset() takes one unit's factor 1 - pi for all.

suppressMessages(library(survey))
folder <- commandArgs(trailingOnly = TRUE)[1]
read <- function(name) read.csv(file.path(folder, paste0(name, ".csv")))

ratio <- function(design) {
  design <- update(design, a0 = part * a, b0 = part * b, a1 = part * a * inside, b1 = part * b * inside)
  all <- svyratio(~a0, ~b0, design)
  inside <- svyratio(~a1, ~b1, design)
  c(all = coef(all)[[1]], all_se = SE(all)[[1]], inside = coef(inside)[[1]], inside_se = SE(inside)[[1]])
}

# Weights calibrated to the counts of decisions: of all creatives, and of those inside.
calibrated <- function(design) {
  counts <- read("categories")
  totals <- aggregate(count ~ decision, counts, sum)
  all <- ratio(postStratify(design, ~decision, data.frame(decision = totals$decision, Freq = totals$count)))
  apart <- data.frame(category = interaction(counts$decision, counts$inside), Freq = counts$count)
  inside <- ratio(postStratify(update(design, category = interaction(decision, inside)), ~category, apart))
  c(all[c("all", "all_se")], inside[c("inside", "inside_se")])
}

# Units that are certain stand in a stratum of their own, where nothing varies. Units are named so that their names sort
# as they stand: survey 4.1 sums clusters in the order of names and takes their factors 1 - pi in that of rows.
apart <- function(d) transform(d, stratum = paste(stratum, prob >= 1), unit = sprintf("%06d", unit))

found <- list()
for (name in c("srs", "stratified", "cluster")) {
  d <- read(name)
  design <- svydesign(~unit, strata = ~stratum, nest = TRUE, fpc = ~units, probs = ~prob, data = d)
  found[[name]] <- ratio(design)
  found[[paste0(name, "_calibrated")]] <- calibrated(design)
  if (name != "cluster") {
    design <- svydesign(~unit, strata = ~stratum, nest = TRUE, probs = ~prob, data = d)
    found[[paste0(name, "_uncorrected")]] <- ratio(design)
    found[[paste0(name, "_uncorrected_calibrated")]] <- calibrated(design)
  }
}
d <- read("poisson")
found$poisson <- ratio(svydesign(~1, fpc = ~prob, data = d, pps = poisson_sampling(d$prob)))
for (name in c("pps", "cluster_pps")) {
  found[[name]] <- ratio(svydesign(~unit, strata = ~stratum, nest = TRUE, fpc = ~prob, data = apart(read(name)), pps = "brewer"))
}
# Two independent audits: their strata side by side; what is srs in the first is pps with equal probabilities.
found$two_audits <- ratio(svydesign(~unit, strata = ~stratum, nest = TRUE, fpc = ~prob, data = apart(read("two_audits")),
                                    pps = "brewer"))

found$with_replacement <- ratio(svydesign(~unit, probs = ~prob, data = read("cluster")))

d <- read("stratified")
found$advertisers <- ratio(svydesign(~advertiser, probs = ~prob, data = d))

# Decision 1 is a human's: of the creatives that stand under it, the share that they refuse, post-stratified on counts.
counts <- read("decisions")
design <- postStratify(svydesign(~1, strata = ~stratum, nest = TRUE, fpc = ~units, probs = ~prob, data = d), ~decision,
                       data.frame(decision = counts$decision, Freq = counts$count))
design <- update(design, refused = (decision == 1) * (b > 0))
mean <- svymean(~refused, design)
found$post_stratified <- c(all = coef(mean)[[1]], all_se = SE(mean)[[1]])

rows <- sapply(names(found), function(name) {
  values <- sprintf('"%s": %.17g', names(found[[name]]), found[[name]])
  sprintf('  "%s": {%s}', name, paste(values, collapse = ", "))
})
version <- sprintf('  "survey": "%s"', packageVersion("survey"))
cat("{\n", paste(c(version, rows), collapse = ",\n"), "\n}\n", sep = "")
