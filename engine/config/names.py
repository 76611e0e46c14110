"""Names that must agree between the sections of a config."""

from __future__ import annotations

from collections.abc import Iterator

from engine.config.decisions import parse_decision
from engine.config.gates import gate_faults
from engine.config.sections import Config
from engine.config.strategies import compile_strategies, find_template, swept_strategies
from engine.config.sweep import SweepSection, sweep_faults
from engine.errors import did_you_mean
from engine.expression import is_feature
from engine.records import ANY, LOGGED
from engine.score.fields import parse_template
from engine.strategy import parameters

_ENGINE_COLUMNS = (
    "row",
    "creative_id",
    "advertiser_id",
    "submitted_at",
    "content_id",
    "impressions",
    "spend",
    "refused_impressions",
    "propensity",
    "in_frame",
    "cell",
    "outcome",
    LOGGED,
)


def name_faults(config: Config) -> list[str]:
    """Return one line for every name that is used and not defined."""
    faults = [*_policies(config), *_sources(config), *_decisions(config), *_off_policy(config), *_reserved(config)]
    sweep = config.sweep
    strategies, rule_faults = compile_strategies(config, swept_strategies(config))
    faults += rule_faults
    compiled = [strategy.name for strategy in strategies]
    known = [LOGGED] if LOGGED in compiled else []
    known += [name for name in config.strategies if name in compiled or name not in swept_strategies(config)]
    faults += _swept(config, sweep, known, rule_faults) if sweep else []
    faults += _compared(config, [*known, *(sweep.picked() if sweep else ())])
    policies = [*config.policies, *([ANY] if len(config.policies) > 1 else [])]
    faults += gate_faults(
        config.gates,
        policies,
        _shown(config),
        compared=config.compare is not None,
        priced=config.cost is not None,
    )
    swept = [find_template(config, sweep.strategy).strategy] if sweep and not faults else []
    if any(strategy.memory.copies for strategy in (*strategies, *swept)) and not (
        config.models or config.creatives.columns.text
    ):
        faults.append("creatives.columns.text: is required where a strategy remembers copies: it is their content")
    if not strategies and not rule_faults and not sweep:
        faults.append("strategies: is empty and creatives.columns.logged_decision is not set; nothing to replay")
    return faults


def _swept(config: Config, sweep: SweepSection, strategies: list[str], rule_faults: list[str]) -> Iterator[str]:
    if sweep.strategy not in config.strategies:
        yield f"sweep.strategy: unknown strategy {sweep.strategy}{did_you_mean(sweep.strategy, config.strategies)}"
    elif not any(fault.startswith(f"strategies.{sweep.strategy}.") for fault in rule_faults):
        template = find_template(config, sweep.strategy)
        read = parameters(template.strategy)
        for name in sweep.parameters:
            if name not in read:
                yield f"sweep.parameters.{name}: no rule of {sweep.strategy} reads ${name}{did_you_mean(name, read)}"
        for name in template.unset:
            if name not in sweep.parameters:
                yield f"sweep.parameters: needs {name}, which {sweep.strategy} reads as ${name}"
    policies = [*config.policies, *([ANY] if len(config.policies) > 1 else [])]
    yield from sweep_faults(sweep, policies, strategies, priced=config.cost is not None)
    since, period = sweep.confirm_from, config.period
    if since is not None and not period.from_ < since < period.until:
        yield (
            f"sweep.confirm_from: {since.isoformat()} must lie inside the period, after {period.from_.isoformat()}, "
            f"so that something selects, and before {period.until.isoformat()}, so that something confirms"
        )
    for name in sweep.picked():
        if name in config.strategies:
            yield f"strategies.{name}: is the name of what the sweep picks; give it another one"


def _policies(config: Config) -> Iterator[str]:
    owners = [(f"models.{name}.outputs", model.outputs) for name, model in config.models.items()]
    owners += [(f"scores.{name}", scores.policies) for name, scores in config.scores.items()]
    for key, policies in owners:
        for policy in policies:
            if policy not in config.policies:
                yield f"{key}: unknown policy {policy}{did_you_mean(policy, config.policies)}"
    for policy in config.policies:
        if policy == ANY:
            yield f"policies: {ANY} is reserved for the policy that is violated when some policy is"
        if is_feature(policy):
            yield f"policies: {policy} is a feature that rules read by this name; give the policy another"


def _sources(config: Config) -> Iterator[str]:
    for name in config.models:
        if name in config.scores:
            yield f"scores.{name}: is also a model; give one of them another name"
    if any(not model.images for model in config.models.values()) and not config.creatives.columns.text:
        yield "creatives.columns.text: is required where models score texts"
    if config.audits and not config.labels:
        yield "labels: is required where audits are given"
    for name, model in config.models.items():
        if model.template is not None:
            try:
                parse_template(model.template, tuple(model.text or config.creatives.columns.text))
            except ValueError as error:
                yield f"models.{name}.template: {error}"
        for key, known in (("text", config.creatives.columns.text), ("images", config.creatives.columns.images)):
            for column in getattr(model, key) or ():
                if column not in known:
                    hint = did_you_mean(column, known)
                    yield f"models.{name}.{key}: {column} is not in creatives.columns.{key}{hint}"
    for name, model in config.models.items():
        if model.calibration and not config.labels:
            yield f"models.{name}.calibration: needs `labels`: it learns from those that were known before the period"
    if config.creatives.sample and not config.audits:
        yield "creatives.sample: needs `labels` and `audits`: without them a sample answers nothing"
    if config.creatives.sample and config.report.truth:
        yield "report.truth: needs every creative scored; remove it or creatives.sample"
    for key, names in (("segments", config.estimate.segments), ("post_strata", config.estimate.post_strata)):
        for name in names or ():
            if name not in config.creatives.attributes:
                yield f"estimate.{key}: unknown attribute {name}{did_you_mean(name, config.creatives.attributes)}"
    if config.estimate.post_strata and config.estimate.estimator == "difference":
        yield "estimate.post_strata: calibrates Hájek ratios; remove it or estimate.estimator"


def _decisions(config: Config) -> Iterator[str]:
    for value, decision in config.creatives.decisions.items():
        if parse_decision(decision, final=True) is None:
            yield (
                f"creatives.decisions.{value}: {decision!r} is no decision; "
                "write APPROVE, LIMIT SHARE, REVIEW, REJECT or PENDING"
            )
    if config.creatives.columns.logged_decision and not config.creatives.decisions:
        yield "creatives.decisions: is required where logged_decision is mapped, as in {approved: APPROVE}"
    if config.creatives.columns.logged_final and not config.creatives.columns.logged_decision:
        yield "creatives.columns.logged_decision: is required where logged_final is mapped"


def _off_policy(config: Config) -> Iterator[str]:
    asked, columns = config.off_policy, config.creatives.columns
    if asked is None:
        return
    for name in ("propensity", "logged_decision", *asked.outcomes):
        if getattr(columns, name) is None:
            yield f"creatives.columns.{name}: is required where off_policy is asked for"
    if config.creatives.sample is not None:
        yield "off_policy: needs the decision of every creative; creatives.sample leaves some without a score"


def _reserved(config: Config) -> Iterator[str]:
    if LOGGED in config.strategies:
        yield f"strategies.{LOGGED}: is the reserved name of history's own decisions"
    columns = config.creatives.columns
    taken = {*_ENGINE_COLUMNS, columns.id, columns.advertiser, columns.submitted_at}
    for name in config.creatives.attributes:
        if name in taken or "." in name or is_feature(name):
            yield f"creatives.attributes: {name} is a name the engine uses itself; bring the column under another name"


def _shown(config: Config) -> list[str]:
    """Return the attributes that numbers may be had by."""
    return config.creatives.attributes if config.estimate.segments is None else config.estimate.segments


def _compared(config: Config, strategies: list[str]) -> Iterator[str]:
    if config.compare is None:
        return
    for key, name in (("baseline", config.compare.baseline), ("candidate", config.compare.candidate)):
        if name not in strategies:
            why = " (needs creatives.columns.logged_decision)" if name == LOGGED else did_you_mean(name, strategies)
            yield f"compare.{key}: unknown strategy {name}{why}"
