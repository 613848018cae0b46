# Stands in for ruby:3.3-slim: Debian's interpreter in the official image's places. As there, a compiler and most headers are missing.
# Where there is no image registry there is none of gems either, so Bundler is given what Debian has of them.
FROM mini-stand-in:debian-13 AS interpreter
RUN apt-get update \
 && apt-get install -y --no-install-recommends ruby ruby-dev bundler \
 && rm -rf /var/lib/apt/lists/* \
 && for tool in ruby gem bundle bundler rake irb erb; do ln -s "/usr/bin/$tool" "/usr/local/bin/$tool"; done \
 && echo 'gem: --no-document' > /etc/gemrc

# A folder in the form of rubygems.org, of installed gems. Those with C in them come compiled.
FROM interpreter AS gems
RUN apt-get update \
 && apt-get install -y --no-install-recommends puma ruby-bootsnap ruby-rack ruby-rackup ruby-rails ruby-rails-propshaft ruby-sinatra ruby-sqlite3 \
 && rm -rf /var/lib/apt/lists/*
RUN printf '%s\n' 'require "rubygems/package"' 'require "fileutils"' 'require "zlib"' \
    'FileUtils.mkdir_p(["/gems/gems", "/gems/quick/Marshal.4.8"])' \
    '# What rubygems.org has by platform.' \
    'platforms = { "nokogiri" => "x86_64-linux-gnu", "sqlite3" => "x86_64-linux" }' \
    '# Some packages have their files in folders that all share.' \
    'shared = ["/usr/lib/ruby/vendor_ruby", RbConfig::CONFIG["vendorarchdir"]]' \
    '# Left out by Debian.' \
    'programs = { "bootsnap" => "require \"bootsnap/cli\"\nexit Bootsnap::CLI.new(ARGV).run\n" }' \
    'collected = lambda do |gem, root|' \
    '  files = IO.popen(["dpkg", "-S", gem.loaded_from], &:read).split(":").first.then { |package| IO.popen(["dpkg", "-L", package], &:readlines) }' \
    '  files.map(&:chomp).select { |path| File.file?(path) }.each do |path|' \
    '    folder = shared.find { |folder| path.start_with?("#{folder}/") } or next' \
    '    copy = path.sub(folder, "#{root}/lib")' \
    '    FileUtils.mkdir_p(File.dirname(copy))' \
    '    FileUtils.cp(path, copy)' \
    '  end' \
    '  FileUtils.mkdir_p("#{root}/exe")' \
    '  gem.executables.each { |name| File.write("#{root}/exe/#{name}", programs.fetch(name) { File.read("/usr/bin/#{name}") }) }' \
    'end' \
    'packed = Gem::Specification.reject { |gem| gem.default_gem? || %w[bundler rubygems-update].include?(gem.name) }.map do |gem|' \
    '  spec = gem.dup' \
    '  root = "/tmp/#{gem.full_name}"' \
    '  if File.directory?(gem.full_gem_path)' \
    '    FileUtils.cp_r("#{gem.full_gem_path}/.", root)' \
    '  else' \
    '    collected.call(gem, root)' \
    '    spec.bindir = "exe"' \
    '    spec.require_paths = ["lib"]' \
    '  end' \
    '  FileUtils.mkdir_p("#{root}/lib")' \
    '  FileUtils.cp_r("#{gem.extension_dir}/.", "#{root}/lib") if Dir.exist?(gem.extension_dir)' \
    '  spec.platform = platforms.fetch(gem.name, "ruby")' \
    '  spec.extensions = []' \
    '  spec.extra_rdoc_files = []' \
    '  Dir.chdir(root) do' \
    '    spec.files = Dir.glob("**/*", File::FNM_DOTMATCH).select { |path| File.file?(path) }' \
    '    Gem::Package.build(spec, true, false, "/gems/gems/#{spec.file_name}")' \
    '  end' \
    '  File.binwrite("/gems/quick/Marshal.4.8/#{spec.full_name}.gemspec.rz", Zlib.deflate(Marshal.dump(spec)))' \
    '  [spec.name, spec.version, spec.platform.to_s]' \
    'end' \
    '{ "specs" => packed, "latest_specs" => packed, "prerelease_specs" => [] }.each do |name, list|' \
    '  Zlib::GzipWriter.open("/gems/#{name}.4.8.gz") { |file| file.write(Marshal.dump(list)) }' \
    'end' > /pack.rb && ruby /pack.rb && ls /gems/gems

FROM interpreter
# What Nokogiri brings along at rubygems.org.
RUN apt-get update && apt-get install -y --no-install-recommends libxml2 libxslt1.1 && rm -rf /var/lib/apt/lists/*
COPY --from=gems /gems /usr/share/gems
RUN mkdir /root/.bundle && echo 'BUNDLE_MIRROR__HTTPS://RUBYGEMS__ORG/: "file:///usr/share/gems/"' > /root/.bundle/config
ENV LANG=C.UTF-8 RUBY_VERSION=3.3.8 GEM_HOME=/usr/local/bundle BUNDLE_SILENCE_ROOT_WARNING=1 BUNDLE_APP_CONFIG=/usr/local/bundle \
    PATH=/usr/local/bundle/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
RUN mkdir "$GEM_HOME" && chmod 1777 "$GEM_HOME" && test "$(ruby -e 'print RUBY_VERSION')" = "$RUBY_VERSION" && gem --version && bundle --version
CMD ["irb"]
