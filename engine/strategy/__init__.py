"""Strategy (what an operator writes) → StrategyTable (what a kernel eats)."""

from engine.strategy.binding import Template, bind, parameters
from engine.strategy.rules import (
    PolicyRules,
    Review,
    Rule,
    Strategy,
    columns_read,
    features_read,
    logged_strategy,
    model_of,
    remembered_columns,
)
from engine.strategy.shift import can_shift, shifted
from engine.strategy.table import AND, NOT, OR, PUSH, TRUE, StrategyTable, build_table

__all__ = [
    "AND",
    "NOT",
    "OR",
    "PUSH",
    "TRUE",
    "PolicyRules",
    "Review",
    "Rule",
    "Strategy",
    "StrategyTable",
    "Template",
    "bind",
    "build_table",
    "can_shift",
    "columns_read",
    "features_read",
    "logged_strategy",
    "model_of",
    "parameters",
    "remembered_columns",
    "shifted",
]
