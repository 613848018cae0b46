import Config

config :web,
  port: String.to_integer(System.fetch_env!("PORT")),
  name: System.get_env("NAME_OF_READER", "nobody")
