"""The messages and the service of `pixell.agent`, importable without protobuf."""
