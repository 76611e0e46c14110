"""Arrow schemas that cross a disk (section "Data" of the README)."""

from __future__ import annotations

import pyarrow as pa

_UTC = pa.timestamp("us", tz="UTC")

LABELS = pa.schema(
    [
        pa.field("creative_id", pa.string(), nullable=False),
        pa.field("policy", pa.string(), nullable=False),
        ("label", pa.string()),  # VIOLATING | COMPLIANT | UNKNOWN | null = drawn, not yet answered
        pa.field("source", pa.string(), nullable=False),  # audit | review | appeal | report | expert
        ("audit_id", pa.string()),
        ("stratum", pa.string()),
        ("inclusion_probability", pa.float64()),
        ("known_at", _UTC),
        ("reviewer_id", pa.string()),
        ("guideline_version", pa.string()),
    ]
)

AUDITS = pa.schema(
    [
        pa.field("audit_id", pa.string(), nullable=False),
        pa.field("stratum", pa.string(), nullable=False),
        ("frame", pa.string()),
        ("stratum_when", pa.string()),  # an expression over the creatives' attributes
        ("frame_path", pa.string()),
        pa.field("method", pa.string(), nullable=False),  # srs | poisson | pps | cluster
        pa.field("population_size", pa.int64(), nullable=False),
        pa.field("sample_size", pa.int64(), nullable=False),  # creatives; of a cluster draw, clusters
        ("drawn_at", _UTC),
    ]
)

FRAME = pa.schema(
    [
        pa.field("creative_id", pa.string(), nullable=False),
        pa.field("stratum", pa.string(), nullable=False),
        pa.field("inclusion_probability", pa.float64(), nullable=False),
        ("cluster", pa.string()),
    ]
)

TRUTH = pa.schema(
    [
        pa.field("creative_id", pa.string(), nullable=False),
        pa.field("policy", pa.string(), nullable=False),
        pa.field("label", pa.string(), nullable=False),  # VIOLATING | COMPLIANT
    ]
)

QUARANTINE = pa.schema(
    [("creative_id", pa.string()), ("file", pa.string()), ("row", pa.int64()), ("reason", pa.string())]
)

SEARCH = pa.schema(
    [
        pa.field("strategy", pa.string(), nullable=False),  # with its setting, as in `candidate t=0.5`
        pa.field("setting", pa.string(), nullable=False),  # parameters as JSON
        pa.field("number", pa.string(), nullable=False),  # metric or metric.weighting
        ("estimate", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("null_reason", pa.string()),
        pa.field("on_front", pa.bool_(), nullable=False),
        ("picked", pa.string()),  # the strategy that it joined the run as
        ("confirmed", pa.float64()),  # over creatives from sweep.confirm_from on; of the front and the picked alone
        ("confirmed_low", pa.float64()),
        ("confirmed_high", pa.float64()),
        ("joint_low", pa.float64()),  # hold for all of these at once; of the confirmed number, else of the estimate
        ("joint_high", pa.float64()),
    ]
)

ESTIMATES = pa.schema(
    [
        pa.field("strategy", pa.string(), nullable=False),
        ("baseline", pa.string()),  # null unless the row is the paired difference strategy - baseline
        pa.field("policy", pa.string(), nullable=False),
        pa.field("segment_by", pa.string(), nullable=False),
        pa.field("segment", pa.string(), nullable=False),
        pa.field("weighting", pa.string(), nullable=False),  # creatives | impressions | spend
        pa.field("reading", pa.string(), nullable=False),  # machine | after_review
        pa.field("metric", pa.string(), nullable=False),
        pa.field("inference", pa.string(), nullable=False),  # history | future
        ("estimator", pa.string()),
        ("estimate", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        pa.field("confidence", pa.float64(), nullable=False),
        pa.field("labels", pa.int64(), nullable=False),
        pa.field("effective_size", pa.float64(), nullable=False),
        pa.field("effective_events", pa.float64(), nullable=False),
        ("support", pa.float64()),
        ("least", pa.float64()),  # with `most`: limits that hold whatever labels the audits could not have given
        ("most", pa.float64()),
        ("warning", pa.string()),
        ("null_reason", pa.string()),
        pa.field("formula", pa.string(), nullable=False),
    ]
)

EXAMPLES = pa.schema(
    [
        pa.field("kind", pa.string(), nullable=False),  # leaked | overkilled | swapped
        ("strategy", pa.string()),  # that leaked or overkilled it
        pa.field("creative_id", pa.string(), nullable=False),
        ("labels", pa.list_(pa.struct([("policy", pa.string()), ("label", pa.string())]))),
        ("ways", pa.list_(pa.struct([("strategy", pa.string()), ("decision", pa.string()), ("rule", pa.string())]))),
        ("scores", pa.list_(pa.struct([("column", pa.string()), ("score", pa.float64())]))),  # null: not asked for
        (
            "exposure",  # source: known | modelled | missing
            pa.list_(pa.struct([("weighting", pa.string()), ("value", pa.float64()), ("source", pa.string())])),
        ),
        ("texts", pa.list_(pa.struct([("field", pa.string()), ("text", pa.string())]))),
        ("pictures", pa.list_(pa.binary())),  # JPEG, encoded by the engine
        ("notes", pa.list_(pa.string())),
    ]
)

CREATIVES_FIELDS = {
    "creative_id": "text, unique",
    "advertiser_id": "text",
    "submitted_at": "timestamp with time zone (UTC is kept)",
    "text columns": "text, any number, in config order",
    "attributes": "text, boolean or number",
    "impressions": "integer, null where unknown",
    "spend": "number, null where unknown",
    "logged_decision": "the machine's decision, mapped by creatives.decisions",
    "logged_final": "the decision after review, mapped by creatives.decisions",
}

SCHEMAS = {
    "labels": LABELS,
    "audits": AUDITS,
    "frame": FRAME,
    "truth": TRUTH,
    "quarantine": QUARANTINE,
    "estimates": ESTIMATES,
}
