"""One config is one run: YAML in, checked sections out, every fault at once."""

from engine.config.loading import load_config
from engine.config.sections import Config

__all__ = ["Config", "load_config"]
