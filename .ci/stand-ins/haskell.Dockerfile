# Stands in for haskell:9.6-slim and its like: Debian's GHC and Cabal. Hackage is a folder without packages, because what an app asks
# for is installed already, as far as Debian has it: what scotty and warp need. Stack needs the real image.
FROM mini-stand-in:debian-13
RUN apt-get update \
 && apt-get install -y --no-install-recommends cabal-install g++ gcc ghc git libgmp-dev libghc-scotty-dev make pkg-config zlib1g-dev \
 && rm -rf /var/lib/apt/lists/*
# The official compiler brings these two itself, as libraries that become part of a program.
RUN rm /usr/lib/*/libffi.so /usr/lib/*/libnuma.so
RUN mkdir -p /etc/cabal /usr/share/hackage \
 && printf '%s\n' 'repository hackage' '  url: file+noindex:///usr/share/hackage' 'remote-repo-cache: /var/cache/hackage' > /etc/cabal/config \
 && ghc --version && cabal --version
ENV CABAL_CONFIG=/etc/cabal/config LANG=C.UTF-8
CMD ["ghci"]
