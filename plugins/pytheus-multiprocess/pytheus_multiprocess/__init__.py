"""The registry of all processes of one machine, each with its own numbers in shared memory."""
