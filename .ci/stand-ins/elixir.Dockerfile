# Stands in for elixir:1.18-slim: Debian's Elixir and Erlang. Hex is there already, because the place it is fetched from cannot be
# imitated: what that gives is signed. Packages that rebar3 compiles need the real image.
FROM mini-stand-in:debian-13
RUN apt-get update \
 && apt-get install -y --no-install-recommends elixir erlang-dev erlang-hex erlang-inets erlang-os-mon erlang-runtime-tools \
    erlang-ssl erlang-syntax-tools erlang-xmerl \
 && rm -rf /var/lib/apt/lists/* \
 && elixir --version
ENV LANG=C.UTF-8
CMD ["iex"]
