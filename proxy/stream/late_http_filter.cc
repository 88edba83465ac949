#include "proxy/stream/late_http_filter.h"

#include <new>
#include <utility>

#include "filters/api/arena.h"
#include "filters/api/filter.h"

namespace remora::proxy {
namespace {

class Missing final : public HttpFilter {
 public:
  Verdict OnRequestHeaders(Headers&, bool /*end*/) override {
    context_->info().flags.Add(ResponseFlag::kNoFilterConfigFound);
    context_->Reply(LocalReply());
    return Verdict::kReplied;
  }
};

class MissingFactory final : public FilterFactory {
 public:
  HttpFilter* Create(Arena& arena) const override {
    return new (arena.Allocate(sizeof(Missing), alignof(Missing))) Missing();
  }
};

}  // namespace

std::shared_ptr<const LateHttpFilter> LateHttpFilter::Make(
    const xds::HttpFilterConfig& chained, std::shared_ptr<const xds::ExtensionConfig> made_of,
    absl::string_view stat_prefix, StatStore& stats) {
  auto out = std::make_shared<LateHttpFilter>();
  out->config.name = chained.name;
  out->config.disabled = chained.disabled;
  out->config.config = made_of->config;
  out->config.is_router = made_of->is_router;
  out->config.factory = made_of->factory;
  out->made_of = std::move(made_of);
  if (out->config.factory == nullptr) {
    out->filter.config = &out->config;
  } else {
    out->filter = HttpService::MakeFilter(out->config, stat_prefix, stats);
  }
  return out;
}

const HttpService::Filter& MissingFilter() {
  static const auto* const config = [] {
    auto* made = new xds::HttpFilterConfig();
    made->factory = std::make_shared<const MissingFactory>();
    return made;
  }();
  static const auto* const filter = new HttpService::Filter{config, nullptr, {}};
  return *filter;
}

}  // namespace remora::proxy
