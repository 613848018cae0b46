class ThingsController < ActionController::Base
  def index
    Thing.create!(name: "thing")
  end
end
