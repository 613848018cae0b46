//! Rules of the plan, and two properties: a satisfied world needs nothing, and carrying out plans satisfies the world.
