"""What holds for every test: its verdict is not a matter of this machine's speed, nor of how the run was started."""

import signal

from hypothesis import HealthCheck, settings

settings.register_profile("sluice", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("sluice")
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may start what runs in the background without it
