// envoy.filters.http.header_mutation: edits headers and trailers, by the chain's configuration and
// by every level of the route.
#include <algorithm>
#include <iterator>
#include <utility>

#include "envoy/extensions/filters/http/header_mutation/v3/header_mutation.pb.h"
#include "filters/header_edits.h"
#include "filters/makers.h"
#include "filters/typed_config.h"

namespace remora {
namespace {

namespace pb = envoy::extensions::filters::http::header_mutation::v3;

struct Edits {
  HeaderEdits request;
  HeaderEdits response;
  HeaderEdits request_trailers;
  HeaderEdits response_trailers;
};

absl::StatusOr<Edits> ParseEdits(const pb::Mutations& proto) {
  if (proto.query_parameter_mutations_size() != 0) {
    return NotSupported("header_mutation", "query_parameter_mutations");
  }
  Edits out;
  for (const auto& [list, target] :
       {std::pair(&proto.request_mutations(), &out.request),
        std::pair(&proto.response_mutations(), &out.response),
        std::pair(&proto.request_trailers_mutations(), &out.request_trailers),
        std::pair(&proto.response_trailers_mutations(), &out.response_trailers)}) {
    absl::StatusOr<HeaderEdits> edits = HeaderEdits::Parse(*list);
    if (!edits.ok()) return edits.status();
    *target = *std::move(edits);
  }
  return out;
}

class HeaderMutationFilter final : public HttpFilter {
 public:
  HeaderMutationFilter(const Edits* edits, bool most_specific_wins)
      : edits_(edits), most_specific_wins_(most_specific_wins) {}

  Verdict OnRequestHeaders(Headers& headers, bool) override {
    return Apply(&Edits::request, headers);
  }
  Verdict OnRequestTrailers(Headers& trailers) override {
    return Apply(&Edits::request_trailers, trailers);
  }
  Verdict OnResponseHeaders(Headers& headers, bool) override {
    return Apply(&Edits::response, headers);
  }
  Verdict OnResponseTrailers(Headers& trailers) override {
    return Apply(&Edits::response_trailers, trailers);
  }

 private:
  // The chain's edits come first, the route's levels after: the least specific last, unless
  // configuration turns that round.
  Verdict Apply(HeaderEdits Edits::* which, Headers& headers) {
    const StreamInfo& info = std::as_const(*context_).info();
    (edits_->*which).Apply(info, headers);
    const void* levels[4];
    const size_t count = context_->route_configs(levels, std::size(levels));
    if (!most_specific_wins_) std::reverse(levels, levels + count);
    for (size_t i = 0; i < count; ++i) {
      (static_cast<const Edits*>(levels[i])->*which).Apply(info, headers);
    }
    return Verdict::kContinue;
  }

  const Edits* edits_;
  bool most_specific_wins_;
};

class HeaderMutationFactory final : public FilterFactory {
 public:
  HeaderMutationFactory(Edits edits, bool most_specific_wins)
      : edits_(std::move(edits)), most_specific_wins_(most_specific_wins) {}
  HttpFilter* Create(Arena& arena) const override {
    return new (arena.Allocate(sizeof(HeaderMutationFilter)))
        HeaderMutationFilter(&edits_, most_specific_wins_);
  }

 private:
  Edits edits_;
  bool most_specific_wins_;
};

absl::StatusOr<std::shared_ptr<const FilterFactory>> Make(absl::string_view config) {
  absl::StatusOr<pb::HeaderMutation> proto = DecodeConfig<pb::HeaderMutation>(config);
  if (!proto.ok()) return proto.status();
  absl::StatusOr<Edits> edits = ParseEdits(proto->mutations());
  if (!edits.ok()) return edits.status();
  return std::make_shared<HeaderMutationFactory>(*std::move(edits),
                                                 proto->most_specific_header_mutations_wins());
}

absl::StatusOr<std::shared_ptr<const void>> ParseRoute(absl::string_view config) {
  auto proto = DecodeConfig<pb::HeaderMutationPerRoute>(config);
  if (!proto.ok()) return proto.status();
  absl::StatusOr<Edits> edits = ParseEdits(proto->mutations());
  if (!edits.ok()) return edits.status();
  return std::make_shared<const Edits>(*std::move(edits));
}

}  // namespace

HttpFilterType HeaderMutationFilterType() {
  return {"envoy.extensions.filters.http.header_mutation.v3.HeaderMutation", &Make,
          "envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute", &ParseRoute};
}

}  // namespace remora
