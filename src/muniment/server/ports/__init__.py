"""The outside world, each part behind a Protocol with a real adapter and a fake.

Every adapter turns foreign exceptions into `muniment.core.errors`; nothing of a driver or cloud
SDK passes a port.
"""
