defmodule Web do
  use Application

  def start(_type, _arguments) do
    children = if System.get_env("PHX_SERVER"), do: [{Task, &serve/0}], else: []
    Supervisor.start_link(children, strategy: :one_for_one)
  end

  defp serve do
    options = [:binary, packet: :http_bin, active: false, reuseaddr: true]
    {:ok, socket} = :gen_tcp.listen(Application.fetch_env!(:web, :port), options)
    accept(socket)
  end

  defp accept(socket) do
    {:ok, client} = :gen_tcp.accept(socket)
    answer(client)
    accept(socket)
  end

  defp answer(client) do
    case :gen_tcp.recv(client, 0) do
      {:ok, :http_eoh} ->
        body = Words.of(Application.fetch_env!(:web, :name))
        head = "HTTP/1.1 200 OK\r\ncontent-length: #{byte_size(body)}\r\nconnection: close\r\n\r\n"
        :gen_tcp.send(client, [head, body])
        :gen_tcp.close(client)

      {:ok, _line} ->
        answer(client)

      {:error, _reason} ->
        :gen_tcp.close(client)
    end
  end
end
