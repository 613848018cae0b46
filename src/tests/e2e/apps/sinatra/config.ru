require "bundler/setup"
Bundler.require(:default)

class Shop < Sinatra::Base
  get "/" do
    "sinatra #{Sinatra::VERSION} as #{Process.uid}"
  end
end

run Shop
