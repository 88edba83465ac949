// envoy.filters.http.set_filter_state: notes texts about a request for those behind.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "envoy/extensions/filters/http/set_filter_state/v3/set_filter_state.pb.h"
#include "filters/api/filter_state.h"
#include "filters/data_source.h"
#include "filters/formatter.h"
#include "filters/makers.h"
#include "filters/typed_config.h"

namespace remora {
namespace {

namespace pb = envoy::extensions::filters::http::set_filter_state::v3;
using ValueProto = envoy::extensions::filters::common::set_filter_state::v3::FilterStateValue;

struct Value {
  std::string key;
  std::shared_ptr<const Formatter> text;
  bool skip_if_empty = false;
};

struct Settings {
  std::vector<Value> values;
  bool clear_route = false;
};

class SetFilterStateFilter final : public HttpFilter {
 public:
  explicit SetFilterStateFilter(const Settings* settings) : settings_(settings) {}

  // What every level of the route says is noted, the most general first.
  Verdict OnRequestHeaders(Headers&, bool) override {
    bool clear = settings_->clear_route;
    Note(*settings_);
    const void* levels[kMostLevels];
    const size_t count = context_->route_configs(levels, kMostLevels);
    for (size_t i = 0; i < count; ++i) {
      const auto* level = static_cast<const Settings*>(levels[i]);
      Note(*level);
      clear = clear || level->clear_route;
    }
    if (clear) context_->ClearRoute();
    return Verdict::kContinue;
  }

 private:
  static constexpr size_t kMostLevels = 4;

  void Note(const Settings& settings) {
    for (const Value& value : settings.values) {
      std::string text;
      value.text->Format(context_->info(), &text);
      if (text.empty() && value.skip_if_empty) continue;
      context_->filter_state().texts[value.key] = std::move(text);
    }
  }

  const Settings* settings_;
};

class SetFilterStateFactory final : public FilterFactory {
 public:
  explicit SetFilterStateFactory(std::shared_ptr<const Settings> settings)
      : settings_(std::move(settings)) {}
  HttpFilter* Create(Arena& arena) const override {
    return new (arena.Allocate(sizeof(SetFilterStateFilter))) SetFilterStateFilter(settings_.get());
  }

 private:
  std::shared_ptr<const Settings> settings_;
};

absl::StatusOr<Value> ParseValue(const ValueProto& proto) {
  Value out;
  // The factory only tells how the text is to be read; its reader knows that by the key.
  out.key = proto.object_key();
  out.skip_if_empty = proto.skip_if_empty();
  const auto& format = proto.format_string();
  std::string text = format.text_format();
  if (format.has_text_format_source()) {
    absl::StatusOr<std::string> source = ReadDataSource(format.text_format_source());
    if (!source.ok()) return source.status();
    text = *std::move(source);
  } else if (format.has_json_format()) {
    return NotSupported("set_filter_state", "json_format");
  }
  absl::StatusOr<std::shared_ptr<const Formatter>> parsed = Formatter::Parse(
      text, format.omit_empty_values() ? Formatter::Missing::kEmpty : Formatter::Missing::kDash);
  if (!parsed.ok()) return parsed.status();
  out.text = *std::move(parsed);
  return out;
}

absl::StatusOr<std::shared_ptr<const Settings>> ParseSettings(absl::string_view config) {
  absl::StatusOr<pb::Config> proto = DecodeConfig<pb::Config>(config);
  if (!proto.ok()) return proto.status();
  auto out = std::make_shared<Settings>();
  out->clear_route = proto->clear_route_cache();
  for (const ValueProto& value : proto->on_request_headers()) {
    absl::StatusOr<Value> parsed = ParseValue(value);
    if (!parsed.ok()) return parsed.status();
    out->values.push_back(*std::move(parsed));
  }
  return std::shared_ptr<const Settings>(std::move(out));
}

absl::StatusOr<std::shared_ptr<const FilterFactory>> Make(absl::string_view config) {
  absl::StatusOr<std::shared_ptr<const Settings>> settings = ParseSettings(config);
  if (!settings.ok()) return settings.status();
  return std::make_shared<SetFilterStateFactory>(*std::move(settings));
}

absl::StatusOr<std::shared_ptr<const void>> ParseRoute(absl::string_view config) {
  absl::StatusOr<std::shared_ptr<const Settings>> settings = ParseSettings(config);
  if (!settings.ok()) return settings.status();
  return std::shared_ptr<const void>(*std::move(settings));
}

}  // namespace

HttpFilterType SetFilterStateFilterType() {
  return {"envoy.extensions.filters.http.set_filter_state.v3.Config", &Make,
          "envoy.extensions.filters.http.set_filter_state.v3.Config", &ParseRoute};
}

}  // namespace remora
