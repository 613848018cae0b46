class ThingsController < ActionController::Base
  def index
  end
end
