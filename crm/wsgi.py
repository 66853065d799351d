"""The WSGI entry point: ``gunicorn wsgi:app``."""

import os
import sys

from application import create_app
from application.settings import SettingsError, load

# gunicorn ends altogether when a worker exits with this status (gunicorn.arbiter.Arbiter
# APP_LOAD_ERROR) and starts the worker again, forever, after any other.
APP_LOAD_ERROR = 4

try:
    app = create_app(load(os.environ))
except SettingsError as error:
    print(f"crm: {error}", file=sys.stderr)
    sys.exit(APP_LOAD_ERROR)
