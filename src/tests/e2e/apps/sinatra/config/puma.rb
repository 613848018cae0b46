# A port of its own, as Puma's own example has it: it must not be in the way of the one that is given.
threads 1, 5
port ENV.fetch("PORT", 3000)
