// Filters chosen for each request by the matching API: ExtensionWithMatcher skips the filter that
// it wraps, or has envoy.filters.http.composite run the one that the match names.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "envoy/extensions/common/matching/v3/extension_matcher.pb.h"
#include "envoy/extensions/filters/common/matcher/action/v3/skip_action.pb.h"
#include "envoy/extensions/filters/http/composite/v3/composite.pb.h"
#include "filters/inner_context.h"
#include "filters/makers.h"
#include "filters/match_tree.h"
#include "filters/registry.h"
#include "filters/runtime.h"
#include "filters/typed_config.h"
#include "xds/core/v3/extension.pb.h"
#include "xds/type/matcher/v3/matcher.pb.h"

namespace remora {
namespace {

namespace matching = envoy::extensions::common::matching::v3;
namespace composite = envoy::extensions::filters::http::composite::v3;
using Action = composite::ExecuteFilterAction;
using Skip = envoy::extensions::filters::common::matcher::action::v3::SkipFilter;

constexpr absl::string_view kName = "composite";
enum Stat : uint32_t { kDelegationError, kDelegationSuccess };
constexpr FilterStat kStats[] = {{"composite.filter_delegation_error"},
                                 {"composite.filter_delegation_success"}};

// A filter that may run, and where its numbers are among the outer one's.
struct Inner {
  std::shared_ptr<const FilterFactory> factory;
  std::optional<uint32_t> first_stat;  // absent: none are declared, so none are counted
};

// What a match leads to.
struct Choice {
  bool skip = false;
  Inner inner;  // without skip
  std::optional<RuntimeFraction> sample;
};

struct Matching {
  std::optional<MatchTree> tree;
  std::vector<Choice> choices;

  const Choice* Match(const MatchSubject& subject) const {
    const std::optional<size_t> found = tree ? tree->Match(subject) : std::nullopt;
    return found ? &choices[*found] : nullptr;
  }
};

struct Settings {
  Matching matching;
  Inner wrapped;  // none: the composite filter
  std::vector<FilterStat> stats;
  std::vector<std::string> names;
};

absl::string_view TypeOf(const google::protobuf::Any& any) {
  const std::string& url = any.type_url();
  return absl::string_view(url).substr(url.rfind('/') + 1);
}

absl::StatusOr<Choice> ReadAction(const ::xds::core::v3::TypedExtensionConfig& proto) {
  Choice out;
  const absl::string_view type = TypeOf(proto.typed_config());
  if (type == Skip::descriptor()->full_name()) {
    out.skip = true;
    return out;
  }
  if (type != Action::descriptor()->full_name()) {
    return absl::InvalidArgumentError(absl::StrCat("Didn't find a registered implementation for '",
                                                   proto.name(), "' with type URL: '", type, "'"));
  }
  absl::StatusOr<Action> action = DecodeConfig<Action>(proto.typed_config().value());
  if (!action.ok()) return action.status();
  if (action->has_dynamic_config()) return NotSupported(kName, "dynamic_config");
  if (!action->filter_chain_name().empty()) return NotSupported(kName, "filter_chain_name");
  const envoy::config::core::v3::TypedExtensionConfig* filter = &action->typed_config();
  if (action->has_filter_chain()) {
    if (action->filter_chain().typed_config_size() != 1) {
      return NotSupported(kName, "a filter_chain of several filters");
    }
    filter = &action->filter_chain().typed_config(0);
  }
  absl::StatusOr<std::shared_ptr<const FilterFactory>> factory = MakeHttpFilter(
      filter->name(), filter->typed_config().type_url(), filter->typed_config().value());
  if (!factory.ok()) return factory.status();
  out.inner.factory = *std::move(factory);
  if (action->has_sample_percent()) out.sample = RuntimeFraction::From(action->sample_percent());
  return out;
}

absl::StatusOr<Matching> ReadMatcher(const ::xds::type::matcher::v3::Matcher& proto) {
  Matching out;
  absl::StatusOr<MatchTree> tree = MatchTree::Parse(
      proto, [&](const ::xds::core::v3::TypedExtensionConfig& action) -> absl::StatusOr<size_t> {
        absl::StatusOr<Choice> choice = ReadAction(action);
        if (!choice.ok()) return choice.status();
        out.choices.push_back(*std::move(choice));
        return out.choices.size() - 1;
      });
  if (!tree.ok()) return tree.status();
  out.tree = *std::move(tree);
  return out;
}

// Passes everything on to the filter that was chosen, if any.
class ChosenFilter final : public HttpFilter {
 public:
  explicit ChosenFilter(const Settings* settings) : settings_(settings) {}
  ~ChosenFilter() override {
    if (inner_ != nullptr) factory_->Destroy(inner_);
  }

  Verdict OnRequestHeaders(Headers& headers, bool end) override {
    const auto* route = static_cast<const Matching*>(context_->route_config());
    const Matching& matching = route != nullptr && route->tree ? *route : settings_->matching;
    const Choice* choice = matching.Match({context_->info(), &headers});
    if (choice == nullptr) {
      if (settings_->wrapped.factory != nullptr) Run(settings_->wrapped);
    } else if (!choice->skip && settings_->wrapped.factory == nullptr) {
      Delegate(*choice);
    } else if (!choice->skip) {
      Run(settings_->wrapped);
    }
    return inner_ == nullptr ? Verdict::kContinue : inner_->OnRequestHeaders(headers, end);
  }
  Verdict OnRequestBody(Body& body, bool end) override {
    return inner_ == nullptr ? Verdict::kContinue : inner_->OnRequestBody(body, end);
  }
  Verdict OnRequestTrailers(Headers& trailers) override {
    return inner_ == nullptr ? Verdict::kContinue : inner_->OnRequestTrailers(trailers);
  }
  Verdict OnResponseHeaders(Headers& headers, bool end) override {
    return inner_ == nullptr ? Verdict::kContinue : inner_->OnResponseHeaders(headers, end);
  }
  Verdict OnResponseBody(Body& body, bool end) override {
    return inner_ == nullptr ? Verdict::kContinue : inner_->OnResponseBody(body, end);
  }
  Verdict OnResponseTrailers(Headers& trailers) override {
    return inner_ == nullptr ? Verdict::kContinue : inner_->OnResponseTrailers(trailers);
  }
  void OnTimer() override {
    if (inner_ != nullptr) inner_->OnTimer();
  }
  void OnEnd() override {
    if (inner_ != nullptr) inner_->OnEnd();
  }

 private:
  void Delegate(const Choice& choice) {
    if (choice.sample && !choice.sample->Includes(context_->runtime(), context_->random())) return;
    Run(choice.inner);
    context_->Count(kDelegationSuccess);
  }
  void Run(const Inner& inner) {
    factory_ = inner.factory.get();
    inner_context_.emplace(context_, *factory_, inner.first_stat);
    inner_ = factory_->Create(context_->arena());
    inner_->Attach(&*inner_context_);
  }

  const Settings* settings_;
  const FilterFactory* factory_ = nullptr;
  HttpFilter* inner_ = nullptr;
  std::optional<InnerContext> inner_context_;
};

class ChosenFactory final : public FilterFactory {
 public:
  explicit ChosenFactory(std::unique_ptr<Settings> settings) : settings_(std::move(settings)) {}
  HttpFilter* Create(Arena& arena) const override {
    return new (arena.Allocate(sizeof(ChosenFilter), alignof(ChosenFilter)))
        ChosenFilter(settings_.get());
  }
  absl::Span<const FilterStat> stats() const override { return settings_->stats; }
  absl::string_view stat_prefix() const override { return ""; }

 private:
  std::unique_ptr<Settings> settings_;
};

// Gives an inner filter's numbers their place.
void Declare(Inner* inner, Settings* settings) {
  inner->first_stat = static_cast<uint32_t>(settings->stats.size());
  const absl::string_view prefix = inner->factory->stat_prefix();
  if (absl::StartsWith(prefix, ".")) return;
  for (const FilterStat& stat : inner->factory->stats()) {
    settings->names.push_back(absl::StrCat(prefix, stat.name));
    FilterStat declared = stat;
    settings->stats.push_back(declared);
  }
}

std::shared_ptr<const FilterFactory> Finish(std::unique_ptr<Settings> settings) {
  const bool wraps = settings->wrapped.factory != nullptr;
  if (!wraps) {
    for (const FilterStat& stat : kStats) {
      settings->names.emplace_back(stat.name);
      settings->stats.push_back(stat);
    }
  } else {
    Declare(&settings->wrapped, settings.get());
  }
  for (Choice& choice : settings->matching.choices) {
    if (choice.inner.factory != nullptr) Declare(&choice.inner, settings.get());
  }
  for (size_t i = 0; i < settings->names.size(); ++i) settings->stats[i].name = settings->names[i];
  return std::make_shared<ChosenFactory>(std::move(settings));
}

absl::StatusOr<std::shared_ptr<const FilterFactory>> MakeComposite(absl::string_view config) {
  absl::StatusOr<composite::Composite> proto = DecodeConfig<composite::Composite>(config);
  if (!proto.ok()) return proto.status();
  if (proto->named_filter_chains_size() != 0) return NotSupported(kName, "named_filter_chains");
  auto settings = std::make_unique<Settings>();
  if (proto->has_matcher()) {
    absl::StatusOr<Matching> matching = ReadMatcher(proto->matcher());
    if (!matching.ok()) return matching.status();
    settings->matching = *std::move(matching);
  }
  return Finish(std::move(settings));
}

absl::StatusOr<std::shared_ptr<const FilterFactory>> MakeMatched(absl::string_view config) {
  absl::StatusOr<matching::ExtensionWithMatcher> proto =
      DecodeConfig<matching::ExtensionWithMatcher>(config);
  if (!proto.ok()) return proto.status();
  auto settings = std::make_unique<Settings>();
  ::xds::type::matcher::v3::Matcher matcher = proto->xds_matcher();
  // The older message of the same shape.
  if (proto->has_matcher()) matcher.ParseFromString(proto->matcher().SerializeAsString());
  absl::StatusOr<Matching> parsed = ReadMatcher(matcher);
  if (!parsed.ok()) return parsed.status();
  settings->matching = *std::move(parsed);
  const auto& wrapped = proto->extension_config();
  if (TypeOf(wrapped.typed_config()) != composite::Composite::descriptor()->full_name()) {
    absl::StatusOr<std::shared_ptr<const FilterFactory>> factory = MakeHttpFilter(
        wrapped.name(), wrapped.typed_config().type_url(), wrapped.typed_config().value());
    if (!factory.ok()) return factory.status();
    settings->wrapped.factory = *std::move(factory);
  }
  return Finish(std::move(settings));
}

template <typename Proto>
absl::StatusOr<std::shared_ptr<const void>> ParseRoute(absl::string_view config) {
  absl::StatusOr<Proto> proto = DecodeConfig<Proto>(config);
  if (!proto.ok()) return proto.status();
  auto out = std::make_shared<Matching>();
  const ::xds::type::matcher::v3::Matcher* matcher = nullptr;
  if constexpr (std::is_same_v<Proto, composite::CompositePerRoute>) {
    if (proto->has_matcher()) matcher = &proto->matcher();
  } else {
    if (proto->has_xds_matcher()) matcher = &proto->xds_matcher();
  }
  if (matcher != nullptr) {
    absl::StatusOr<Matching> parsed = ReadMatcher(*matcher);
    if (!parsed.ok()) return parsed.status();
    *out = *std::move(parsed);
  }
  return std::shared_ptr<const void>(std::move(out));
}

}  // namespace

HttpFilterType CompositeFilterType() {
  return {"envoy.extensions.filters.http.composite.v3.Composite", &MakeComposite,
          "envoy.extensions.filters.http.composite.v3.CompositePerRoute",
          &ParseRoute<composite::CompositePerRoute>};
}

HttpFilterType MatchedFilterType() {
  return {"envoy.extensions.common.matching.v3.ExtensionWithMatcher", &MakeMatched,
          "envoy.extensions.common.matching.v3.ExtensionWithMatcherPerRoute",
          &ParseRoute<matching::ExtensionWithMatcherPerRoute>};
}

}  // namespace remora
