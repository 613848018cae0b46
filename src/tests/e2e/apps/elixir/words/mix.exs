defmodule Words.MixProject do
  use Mix.Project

  def project do
    [app: :words, version: "0.1.0", deps: []]
  end
end
