Rails.application.configure do
  config.enable_reloading = false
  config.eager_load = true
  config.logger = ActiveSupport::Logger.new(STDOUT)
  config.log_level = :info
end
