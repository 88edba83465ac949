#include "xds/retry_policy.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/extensions/retry/host/omit_host_metadata/v3/omit_host_metadata_config.pb.h"
#include "envoy/extensions/retry/priority/previous_priorities/v3/previous_priorities_config.pb.h"
#include "xds/durations.h"

namespace remora::xds {
namespace {

using Proto = envoy::config::route::v3::RetryPolicy;

struct Condition {
  absl::string_view name;
  uint32_t bit;
};

constexpr Condition kConditions[] = {
    {"5xx", kRetry5xx},
    {"gateway-error", kRetryGatewayError},
    {"reset", kRetryReset},
    {"reset-before-request", kRetryResetBeforeRequest},
    {"connect-failure", kRetryConnectFailure},
    {"envoy-ratelimited", kRetryEnvoyRatelimited},
    {"retriable-4xx", kRetryRetriable4xx},
    {"refused-stream", kRetryRefusedStream},
    {"retriable-status-codes", kRetryRetriableStatusCodes},
    {"retriable-headers", kRetryRetriableHeaders},
    {"http3-post-connect-failure", kRetryHttp3PostConnectFailure},
    {"cancelled", kRetryGrpcCancelled},
    {"deadline-exceeded", kRetryGrpcDeadlineExceeded},
    {"internal", kRetryGrpcInternal},
    {"resource-exhausted", kRetryGrpcResourceExhausted},
    {"unavailable", kRetryGrpcUnavailable},
};

// Intervals under a millisecond count as one.
absl::Duration AtLeastOneMillisecond(absl::Duration value) {
  return std::max(value, absl::Milliseconds(1));
}

void ParseBackOff(const Proto& proto, RetryPolicy* out, ParseContext& context) {
  if (proto.has_retry_back_off()) {
    ParseContext::Scope scope(context, "retry_back_off");
    const auto& back_off = proto.retry_back_off();
    out->backoff_base = AtLeastOneMillisecond(FromProto(back_off.base_interval()));
    if (back_off.has_max_interval()) {
      out->backoff_max = AtLeastOneMillisecond(FromProto(back_off.max_interval()));
      if (*out->backoff_max < *out->backoff_base) {
        context.Error(
            "retry_policy.max_interval must greater than or equal to the "
            "base_interval");
      }
    }
  }
  if (!proto.has_rate_limited_retry_back_off()) return;
  const auto& limited = proto.rate_limited_retry_back_off();
  for (const auto& header : limited.reset_headers()) {
    out->reset_headers.push_back(
        {absl::AsciiStrToLower(header.name()), header.format() == Proto::UNIX_TIMESTAMP});
  }
  if (limited.has_max_interval()) {
    out->rate_limited_max = FromProto(limited.max_interval());
  }
}

void ParseHeaders(
    const char* field,
    const google::protobuf::RepeatedPtrField<envoy::config::route::v3::HeaderMatcher>& list,
    std::vector<HeaderMatcher>* out, ParseContext& context) {
  for (int i = 0; i < list.size(); ++i) {
    ParseContext::Scope scope(context, field, i);
    absl::StatusOr<HeaderMatcher> matcher = HeaderMatcher::Parse(list[i]);
    if (matcher.ok()) {
      out->push_back(*std::move(matcher));
    } else {
      context.Error(matcher.status());
    }
  }
}

void ParseHostPredicate(const Proto::RetryHostPredicate& proto, RetryPolicy* out,
                        ParseContext& context) {
  const Extension extension = ParseExtension(proto.name(), proto.typed_config(), context);
  const absl::string_view type = extension.type_name();
  if (type == "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate") {
    out->avoid_previous_hosts = true;
  } else if (type == "envoy.extensions.retry.host.omit_canary_hosts.v3.OmitCanaryHostsPredicate") {
    out->omit_canary_hosts = true;
  } else if (type ==
             "envoy.extensions.retry.host.omit_host_metadata.v3."
             "OmitHostMetadataConfig") {
    envoy::extensions::retry::host::omit_host_metadata::v3::OmitHostMetadataConfig config;
    ParseContext::Scope scope(context, "typed_config");
    if (DecodeInto(extension, &config, context)) {
      out->omit_host_metadata = Metadata::From(config.metadata_match());
    }
  } else {
    context.Error(absl::StrCat("Didn't find a registered implementation for '", proto.name(),
                               "' with type URL: '", type, "'"));
  }
}

void ParseRetryPriority(const Proto::RetryPriority& proto, RetryPolicy* out,
                        ParseContext& context) {
  ParseContext::Scope scope(context, "retry_priority");
  const Extension extension = ParseExtension(proto.name(), proto.typed_config(), context);
  envoy::extensions::retry::priority::previous_priorities::v3::PreviousPrioritiesConfig config;
  if (extension.type_name() != config.GetDescriptor()->full_name()) {
    return context.Error(absl::StrCat("retry priority ", extension.type_url, " is not supported"));
  }
  ParseContext::Scope inner(context, "typed_config");
  if (DecodeInto(extension, &config, context)) {
    out->previous_priorities_frequency = config.update_frequency();
  }
}

}  // namespace

uint32_t ParseRetryOn(absl::string_view conditions, bool* unknown) {
  uint32_t bits = 0;
  for (absl::string_view name : absl::StrSplit(conditions, ',')) {
    name = absl::StripAsciiWhitespace(name);
    const auto* found = std::find_if(std::begin(kConditions), std::end(kConditions),
                                     [&](const Condition& c) { return c.name == name; });
    if (found != std::end(kConditions)) {
      bits |= found->bit;
    } else if (unknown != nullptr && !name.empty()) {
      *unknown = true;
    }
  }
  return bits;
}

RetryPolicy RetryPolicy::Parse(const Proto& proto, ParseContext& context) {
  RetryPolicy out;
  bool unknown = false;
  out.retry_on = ParseRetryOn(proto.retry_on(), &unknown);
  if (unknown) {
    context.Warn(absl::StrCat("retry_on holds a condition that is not known: ", proto.retry_on()));
  }
  if (proto.has_num_retries()) out.num_retries = proto.num_retries().value();
  out.per_try_timeout = FromProto(proto.per_try_timeout());
  out.per_try_idle_timeout = FromProto(proto.per_try_idle_timeout());
  out.retriable_status_codes.assign(proto.retriable_status_codes().begin(),
                                    proto.retriable_status_codes().end());
  ParseHeaders("retriable_headers", proto.retriable_headers(), &out.retriable_headers, context);
  ParseHeaders("retriable_request_headers", proto.retriable_request_headers(),
               &out.retriable_request_headers, context);
  ParseBackOff(proto, &out, context);
  if (proto.host_selection_retry_max_attempts() != 0) {
    out.host_selection_attempts = static_cast<uint32_t>(proto.host_selection_retry_max_attempts());
  }
  for (int i = 0; i < proto.retry_host_predicate_size(); ++i) {
    ParseContext::Scope scope(context, "retry_host_predicate", i);
    ParseHostPredicate(proto.retry_host_predicate(i), &out, context);
  }
  if (proto.has_retry_priority()) {
    ParseRetryPriority(proto.retry_priority(), &out, context);
  }
  if (proto.retry_options_predicates_size() != 0) {
    context.NotHonoured("retry_options_predicates");
  }
  return out;
}

HedgePolicy HedgePolicy::Parse(const envoy::config::route::v3::HedgePolicy& proto,
                               ParseContext& context) {
  HedgePolicy out;
  out.hedge_on_per_try_timeout = proto.hedge_on_per_try_timeout();
  if (proto.has_initial_requests()) context.NotHonoured("initial_requests");
  if (proto.has_additional_request_chance()) {
    context.NotHonoured("additional_request_chance");
  }
  return out;
}

}  // namespace remora::xds
