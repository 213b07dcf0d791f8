"""A simulated shop and streaming service: `simulate` writes its tables, `World` knows its truth."""

from training.simulator.settings import SimulatorSettings
from training.simulator.simulate import simulate
from training.simulator.world import World

__all__ = ["SimulatorSettings", "World", "simulate"]
