"""gunicorn's settings; it reads this file from the current directory by itself.

The environment is checked here first, so that a mistake is one sentence and an exit status
instead of a traceback from every worker. The command line overrides what is set here.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent))

from application import settings, sweeping

if TYPE_CHECKING:
    from gunicorn.http.message import Request
    from gunicorn.workers.gthread import ThreadWorker

try:
    settings.load(os.environ)
    bind = f"0.0.0.0:{settings.port(os.environ)}"
except settings.SettingsError as error:
    sys.exit(f"crm: {error}")

workers = 2
threads = 4
# A worker's heartbeat file must not lie on a disk that can stall:
# https://docs.gunicorn.org/en/20.1.0/faq.html#how-do-i-avoid-gunicorn-excessively-blocking-in-os-fchmod
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
timeout = 30
# SIGTERM: requests under way get this long to finish.
graceful_timeout = 20
# None: before another request on a connection, gunicorn would wait for the body that it refused.
keepalive = 0
# The proxy's address is not known here. All that gunicorn believes is X-Forwarded-Proto, and all it
# decides is the Secure attribute of the session cookie of the client who sent it. By whom tries of
# passwords are made, the application reads of X-Forwarded-For, where the proxy writes last.
forwarded_allow_ips = "*"
secure_scheme_headers = {"X-FORWARDED-PROTO": "https"}
# gunicorn 20 knows no such setting, and takes SCRIPT_NAME from everybody: see pre_request.
forwarder_headers = ""
accesslog = None
errorlog = "-"
loglevel = "info"


def pre_request(worker: "ThreadWorker", req: "Request") -> None:
    """Drop headers with an underscore: WSGI cannot tell them from others, nor from its own names.

    SCRIPT_NAME, as a header, would be where gunicorn says that the application begins.
    """
    req.headers = [(name, value) for name, value in req.headers if "_" not in name]


def post_worker_init(worker: "ThreadWorker") -> None:
    """Have the worker look for files without a customer now and then."""
    sweeping.sweep_now_and_then(worker.wsgi)
