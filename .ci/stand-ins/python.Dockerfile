# Stands in for python:3.13-slim: Debian's interpreter behind the official image's layout.
FROM mini-stand-in:debian-13
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 python3-venv libpython3-stdlib libpython3-dev \
 && rm -rf /var/lib/apt/lists/*
# A virtual environment at /usr/local puts python, pip and site-packages where the official image has them, lets pip
# install without --break-system-packages, and still allows `pip install --user` (hence the system packages).
RUN python3 -m venv --system-site-packages /usr/local \
 && rm -f /usr/local/bin/activate* /usr/local/bin/Activate* \
 && ln -s /usr/bin/pydoc3 /usr/local/bin/pydoc \
 && python --version && pip --version
CMD ["python3"]
