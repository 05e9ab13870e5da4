# Usage: Rscript fit.R FOLDER
# Fits the models of FOLDER/cases.csv (columns case, formula; data in FOLDER/<case>.csv) by lmerTest
# and writes FOLDER/fits.csv, one row per case and fixed effect, and lme4's own sleepstudy.

suppressMessages(library(lmerTest))

folder <- commandArgs(trailingOnly = TRUE)[1]
exact <- function(x) format(x, digits = 17, trim = TRUE)

# lme4's optimizers look at the deviance only and stop some 1e-7 short of its minimum; from there
# Newton's steps on lme4's deviance function take the parameters that are not at a bound further.
polished <- function(fn, par, lower, upper, control) {
  limits <- list(algorithm = "NLOPT_LN_BOBYQA", xtol_abs = 1e-10, ftol_abs = 0, maxeval = 1e5)
  found <- nloptr::nloptr(par, fn, lb = lower, ub = upper, opts = limits)$solution
  free <- found > lower + 1e-4
  for (step in 1:4) {
    if (!any(free)) break
    moved <- function(values) fn(replace(found, free, values))
    slope <- numDeriv::grad(moved, found[free])
    curve <- numDeriv::hessian(moved, found[free])
    found[free] <- found[free] - solve(curve, slope)
  }
  list(par = found, fval = fn(found), conv = 0, message = "polished")
}
control <- lmerControl(
  optimizer = polished, calc.derivs = FALSE,
  check.conv.grad = "ignore", check.conv.hess = "ignore", check.conv.singular = "ignore"
)

fit <- function(case, formula) {
  data <- read.csv(file.path(folder, paste0(case, ".csv")))
  for (column in names(data)) {
    if (is.character(data[[column]])) {
      data[[column]] <- factor(data[[column]], levels = unique(data[[column]]))
    }
  }
  model <- lmer(as.formula(formula), data, control = control)
  table <- summary(model)$coefficients
  data.frame(
    case = case, effect = rownames(table),
    coef = exact(table[, "Estimate"]), std_error = exact(table[, "Std. Error"]),
    df = exact(table[, "df"]), p = exact(table[, "Pr(>|t|)"]),
    log_likelihood = exact(as.numeric(logLik(model))),
    residual_variance = exact(sigma(model)^2)
  )
}

cases <- read.csv(file.path(folder, "cases.csv"))
fits <- do.call(rbind, Map(fit, cases$case, cases$formula))
write.csv(fits, file.path(folder, "fits.csv"), row.names = FALSE)
write.csv(lme4::sleepstudy, file.path(folder, "lme4_sleepstudy.csv"), row.names = FALSE)
