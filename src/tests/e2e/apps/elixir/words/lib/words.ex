defmodule Words do
  def of(name), do: "a release for #{name}"
end
