"""The Python side of PAR: loads one agent and adapts it to the surfaces."""
