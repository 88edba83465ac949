// envoy.filters.http.compressor: makes bodies small where both ends can.
#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "envoy/extensions/filters/http/compressor/v3/compressor.pb.h"
#include "filters/api/filter_state.h"
#include "filters/compression.h"
#include "filters/makers.h"
#include "filters/matchers.h"
#include "filters/runtime.h"
#include "filters/typed_config.h"

namespace remora {
namespace {

namespace pb = envoy::extensions::filters::http::compressor::v3;

enum Stat : uint32_t {
  kRequestCompressed,
  kRequestNotCompressed,
  kRequestUncompressedBytes,
  kRequestCompressedBytes,
  kRequestTooSmall,
  kCompressed,
  kNotCompressed,
  kUncompressedBytes,
  kCompressedBytes,
  kTooSmall,
  kNoAcceptHeader,
  kHeaderIdentity,
  kHeaderUsed,
  kHeaderOvershadowed,
  kHeaderWildcard,
  kHeaderNotValid,
  kEtag,
};
constexpr absl::string_view kDirectionStats[] = {
    "compressed", "not_compressed", "total_uncompressed_bytes", "total_compressed_bytes",
    "content_length_too_small"};
constexpr absl::string_view kHeaderStats[] = {
    "no_accept_header",       "header_identity",
    "header_compressor_used", "header_compressor_overshadowed",
    "header_wildcard",        "header_not_valid",
    "not_compressed_etag"};

constexpr absl::string_view kDefaultTypes[] = {"application/javascript",
                                               "application/json",
                                               "application/xhtml+xml",
                                               "image/svg+xml",
                                               "text/css",
                                               "text/html",
                                               "text/plain",
                                               "text/xml"};
constexpr uint32_t kDefaultLeast = 30;
constexpr absl::string_view kStatusHeader = "x-envoy-compression-status";
constexpr absl::string_view kAcceptEncoding = "Accept-Encoding";
// Where the filters of one exchange find each other.
constexpr absl::string_view kStateKey = "envoy.filters.http.compressor";

struct RuntimeFlag {
  bool otherwise = true;
  std::string key;
  bool Get(const Runtime* runtime) const {
    return runtime == nullptr || key.empty() ? otherwise : runtime->Boolean(key, otherwise);
  }
};

struct Direction {
  RuntimeFlag enabled;
  uint32_t least = kDefaultLeast;
  std::vector<std::string> types;  // with neither, any
  std::vector<StringMatcher> type_matchers;

  bool AllowsType(const Headers& headers) const {
    const absl::string_view whole = headers.Value(HeaderId::kContentType);
    if (whole.empty()) return true;
    const absl::string_view type = absl::StripAsciiWhitespace(whole.substr(0, whole.find(';')));
    if (!type_matchers.empty()) {
      for (const StringMatcher& matcher : type_matchers) {
        if (matcher.Match(type)) return true;
      }
      return false;
    }
    return std::find(types.begin(), types.end(), type) != types.end();
  }
};

struct Settings {
  std::shared_ptr<const CompressionLibrary> library;
  Direction request;
  Direction response;
  bool disable_on_etag = false;
  bool weaken_etag = false;
  bool remove_accept_encoding = false;
  bool status_header = false;
  bool choose_first = false;
  std::vector<uint32_t> codes_left_alone;
};

struct RouteSettings {
  bool disabled = false;
  bool response = false;  // the route says something of responses
  std::optional<bool> remove_accept_encoding;
  std::shared_ptr<const CompressionLibrary> library;  // null: the filter's
};

// What the filters of one exchange share: who they are, and what was chosen.
struct Choice {
  enum class Why { kUsed, kNotValid, kIdentity, kWildcard };
  struct Offer {
    const Settings* settings;
    absl::string_view encoding;
  };
  std::vector<Offer> offers;
  bool made = false;
  std::string encoding;
  Why why = Why::kNotValid;

  void Make(absl::string_view accepted, const Headers& response);
};

struct Wish {
  absl::string_view encoding;
  float quality = 1;
};

std::vector<Wish> WishesIn(absl::string_view accepted) {
  std::vector<Wish> out;
  for (const absl::string_view token : absl::StrSplit(accepted, ',', absl::SkipEmpty())) {
    const size_t semicolon = token.find(';');
    Wish wish{absl::StripAsciiWhitespace(token.substr(0, semicolon))};
    if (semicolon != absl::string_view::npos) {
      const absl::string_view parameter = token.substr(semicolon + 1);
      const size_t equals = parameter.find('=');
      if (equals != absl::string_view::npos &&
          absl::EqualsIgnoreCase("q", absl::StripAsciiWhitespace(parameter.substr(0, equals))) &&
          !absl::SimpleAtof(absl::StripAsciiWhitespace(parameter.substr(equals + 1)),
                            &wish.quality)) {
        continue;
      }
    }
    out.push_back(wish);
  }
  return out;
}

// Of what the client accepts and the filters offer, what it likes best; in a tie what it names
// first, or what a filter wants to go first.
void Choice::Make(absl::string_view accepted, const Headers& response) {
  made = true;
  encoding = "identity";
  why = Why::kNotValid;
  std::vector<Offer> fitting;
  for (const Offer& offer : offers) {
    if (offer.settings->response.AllowsType(response)) fitting.push_back(offer);
  }
  const std::vector<Wish> wishes = WishesIn(accepted);
  if (fitting.empty() || wishes.empty()) return;
  const auto offer_of = [&](absl::string_view name) {
    return std::find_if(fitting.begin(), fitting.end(),
                        [&](const Offer& offer) { return offer.encoding == name; });
  };
  Wish best{"identity", 0};
  for (const Wish& wish : wishes) {
    const auto offer = offer_of(wish.encoding);
    const bool known =
        offer != fitting.end() || wish.encoding == "identity" || wish.encoding == "*";
    const bool first = offer != fitting.end() && offer->settings->choose_first;
    if (!known) continue;
    if (wish.quality > best.quality || (first && wish.quality == best.quality)) best = wish;
  }
  if (best.quality == 0) return;
  if (best.encoding == "identity") {
    why = Why::kIdentity;
  } else if (best.encoding == "*") {
    why = Why::kWildcard;
    encoding = std::string(fitting.front().encoding);
  } else {
    why = Why::kUsed;
    encoding = std::string(best.encoding);
  }
}

bool HasToken(absl::string_view list, absl::string_view token) {
  for (const absl::string_view part : absl::StrSplit(list, ',')) {
    if (absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(part), token)) return true;
  }
  return false;
}

class CompressorFilter final : public HttpFilter {
 public:
  explicit CompressorFilter(const Settings* settings) : settings_(settings) {}

  Verdict OnRequestHeaders(Headers& headers, bool end) override;
  Verdict OnRequestBody(Body& body, bool end) override {
    if (request_ != nullptr) Run(*request_, body, end, kRequestUncompressedBytes);
    return Verdict::kContinue;
  }
  Verdict OnRequestTrailers(Headers&) override {
    if (request_ == nullptr) return Verdict::kContinue;
    Body rest;
    Run(*request_, rest, true, kRequestUncompressedBytes);
    context_->InjectRequest(rest);
    return Verdict::kContinue;
  }
  Verdict OnResponseHeaders(Headers& headers, bool end) override;
  Verdict OnResponseBody(Body& body, bool end) override;
  Verdict OnResponseTrailers(Headers&) override {
    if (response_ == nullptr) return Verdict::kContinue;
    Body rest;
    Run(*response_, rest, true, kUncompressedBytes);
    context_->InjectResponse(rest);
    return Verdict::kContinue;
  }

 private:
  void Run(Transcoder& transcoder, Body& body, bool end, Stat before) {
    context_->Count(before, static_cast<int64_t>(body.size()));
    transcoder.Process(body, end);
    context_->Count(before + 1, static_cast<int64_t>(body.size()));
  }
  bool EnabledForResponse() const {
    if (route_ != nullptr && (route_->disabled || route_->response)) return !route_->disabled;
    return settings_->response.enabled.Get(context_->runtime());
  }
  bool LongEnough(const Direction& direction, const Headers& headers, Stat too_small);
  static bool TransferEncodingAllows(const Headers& headers);
  bool Accepted(const Headers& headers);
  absl::string_view WhyNot(const Headers& headers);
  void Vary(Headers& headers);
  Choice& choice() { return *choice_; }

  const Settings* settings_;
  const RouteSettings* route_ = nullptr;
  const CompressionLibrary* library_ = nullptr;
  std::shared_ptr<Choice> choice_;
  std::optional<std::string> accepted_;
  std::unique_ptr<Transcoder> request_;
  std::unique_ptr<Transcoder> response_;
};

bool CompressorFilter::LongEnough(const Direction& direction, const Headers& headers,
                                  Stat too_small) {
  const std::optional<absl::string_view> text = headers.Get(HeaderId::kContentLength);
  if (!text) return true;
  uint64_t length = 0;
  if (absl::SimpleAtoi(*text, &length) && length >= direction.least) return true;
  context_->Count(too_small);
  return false;
}

bool CompressorFilter::TransferEncodingAllows(const Headers& headers) {
  const absl::string_view value = headers.Value(HeaderId::kTransferEncoding);
  return !HasToken(value, "gzip") && !HasToken(value, "deflate");
}

Verdict CompressorFilter::OnRequestHeaders(Headers& headers, bool end) {
  route_ = static_cast<const RouteSettings*>(context_->route_config());
  library_ = route_ != nullptr && route_->library != nullptr ? route_->library.get()
                                                             : settings_->library.get();
  if (const auto accepted = headers.GetJoined(HeaderId::kAcceptEncoding)) {
    accepted_ = std::string(*accepted);
  }
  const bool remove = route_ != nullptr && route_->remove_accept_encoding
                          ? *route_->remove_accept_encoding
                          : settings_->remove_accept_encoding;
  if (remove && EnabledForResponse()) headers.Remove(HeaderId::kAcceptEncoding);
  std::shared_ptr<void>& shared = context_->filter_state().objects[std::string(kStateKey)];
  if (shared == nullptr) shared = std::make_shared<Choice>();
  choice_ = std::static_pointer_cast<Choice>(shared);
  choice().offers.push_back({settings_, library_->encoding()});
  const Direction& direction = settings_->request;
  if (!end && direction.enabled.Get(context_->runtime()) &&
      LongEnough(direction, headers, kRequestTooSmall) && direction.AllowsType(headers) &&
      !headers.Has(HeaderId::kContentEncoding) && TransferEncodingAllows(headers)) {
    headers.Remove(HeaderId::kContentLength);
    headers.Set(HeaderId::kContentEncoding, library_->encoding());
    context_->Count(kRequestCompressed);
    request_ = library_->Make();
  } else {
    context_->Count(kRequestNotCompressed);
  }
  return Verdict::kContinue;
}

bool CompressorFilter::Accepted(const Headers& headers) {
  if (!accepted_) {
    context_->Count(kNoAcceptHeader);
    return false;
  }
  if (!choice().made) choice().Make(*accepted_, headers);
  const bool ours = absl::EqualsIgnoreCase(choice().encoding, library_->encoding());
  switch (choice().why) {
    case Choice::Why::kUsed:
      context_->Count(ours ? kHeaderUsed : kHeaderOvershadowed);
      break;
    case Choice::Why::kNotValid:
      context_->Count(kHeaderNotValid);
      break;
    case Choice::Why::kIdentity:
      context_->Count(kHeaderIdentity);
      break;
    case Choice::Why::kWildcard:
      context_->Count(kHeaderWildcard);
      break;
  }
  return ours;
}

// What in a response speaks against compressing it, in the words of the status header; empty: no
// word of it.
absl::string_view CompressorFilter::WhyNot(const Headers& headers) {
  if (!settings_->response.AllowsType(headers)) return "ContentTypeNotAllowed";
  if (settings_->disable_on_etag && headers.Has(HeaderId::kEtag)) {
    context_->Count(kEtag);
    return "EtagNotAllowed";
  }
  const auto& codes = settings_->codes_left_alone;
  const auto status = static_cast<uint32_t>(headers.status());
  if (std::find(codes.begin(), codes.end(), status) != codes.end()) return "StatusCodeNotAllowed";
  return {};
}

void CompressorFilter::Vary(Headers& headers) {
  const std::optional<absl::string_view> vary = headers.GetJoined(HeaderId::kVary);
  if (!vary) {
    headers.SetReference(HeaderId::kVary, kAcceptEncoding);
  } else if (!HasToken(*vary, kAcceptEncoding)) {
    headers.Set(HeaderId::kVary, absl::StrCat(*vary, ", ", kAcceptEncoding));
  }
}

Verdict CompressorFilter::OnResponseHeaders(Headers& headers, bool end) {
  if (library_ == nullptr) library_ = settings_->library.get();
  if (choice_ == nullptr) choice_ = std::make_shared<Choice>();
  const bool enabled = EnabledForResponse();
  const bool long_enough = enabled && LongEnough(settings_->response, headers, kTooSmall);
  const bool open =
      !headers.Has(HeaderId::kContentEncoding) && !headers.Has(HeaderId::kUpgrade) &&
      !HasToken(headers.GetJoined(HeaderId::kCacheControl).value_or(""), "no-transform");
  absl::string_view why_not;
  if (enabled && open) why_not = long_enough ? WhyNot(headers) : "ContentLengthTooSmall";
  const bool compressible = long_enough && open && why_not.empty();
  // Where the status is told, a reason in the response comes before the client's wishes.
  const bool settled = settings_->status_header && !compressible;
  const bool accepted = !end && long_enough && !settled && Accepted(headers);
  const std::string length(headers.Value(HeaderId::kContentLength));
  if (accepted && compressible && TransferEncodingAllows(headers)) {
    if (const absl::string_view etag = headers.Value(HeaderId::kEtag);
        !etag.empty() && !absl::StartsWith(etag, "W/") && !absl::StartsWith(etag, "w/")) {
      if (settings_->weaken_etag) {
        headers.Set(HeaderId::kEtag, absl::StrCat("W/", etag));
      } else {
        headers.Remove(HeaderId::kEtag);
      }
    }
    headers.Remove(HeaderId::kContentLength);
    headers.Set(HeaderId::kContentEncoding, library_->encoding());
    context_->Count(kCompressed);
    response_ = library_->Make();
  } else {
    context_->Count(kNotCompressed);
  }
  if (settings_->status_header && !end) {
    if (response_ != nullptr) {
      headers.Add(kStatusHeader,
                  absl::StrCat(library_->encoding(), ";Compressed",
                               length.empty() ? "" : absl::StrCat(";OriginalLength=", length)));
    } else if (!why_not.empty()) {
      headers.Add(kStatusHeader, absl::StrCat(library_->encoding(), ";", why_not));
    }
  }
  if (compressible) Vary(headers);
  return Verdict::kContinue;
}

Verdict CompressorFilter::OnResponseBody(Body& body, bool end) {
  if (response_ == nullptr) return Verdict::kContinue;
  const Protocol from = context_->info().upstream_protocol;
  if (!end || body.empty() || from == Protocol::kHttp2 || from == Protocol::kNone) {
    Run(*response_, body, end, kUncompressedBytes);
    return Verdict::kContinue;
  }
  // Over HTTP/1 the end of a message is an event of its own: what came before it is flushed.
  Run(*response_, body, false, kUncompressedBytes);
  Body rest;
  Run(*response_, rest, true, kUncompressedBytes);
  body.Append(rest);
  return Verdict::kContinue;
}

class CompressorFactory final : public FilterFactory {
 public:
  CompressorFactory(Settings settings, std::string prefix, bool response_named)
      : settings_(std::move(settings)), prefix_(std::move(prefix)) {
    for (const absl::string_view name : kDirectionStats)
      names_.push_back(absl::StrCat("request.", name));
    for (const absl::string_view name : kDirectionStats) {
      names_.push_back(absl::StrCat(response_named ? "response." : "", name));
    }
    for (const absl::string_view name : kHeaderStats) names_.emplace_back(name);
    for (const std::string& name : names_) stats_.push_back({name});
  }
  HttpFilter* Create(Arena& arena) const override {
    return new (arena.Allocate(sizeof(CompressorFilter))) CompressorFilter(&settings_);
  }
  absl::Span<const FilterStat> stats() const override { return stats_; }
  absl::string_view stat_prefix() const override { return prefix_; }

 private:
  Settings settings_;
  std::string prefix_;
  std::vector<std::string> names_;
  std::vector<FilterStat> stats_;
};

absl::Status ReadDirection(const pb::Compressor::CommonDirectionConfig& proto, Direction* out) {
  if (proto.has_enabled()) {
    out->enabled = {proto.enabled().default_value().value(), proto.enabled().runtime_key()};
  }
  if (proto.has_min_content_length()) out->least = proto.min_content_length().value();
  if (proto.content_type_size() != 0) {
    out->types.assign(proto.content_type().begin(), proto.content_type().end());
  }
  for (const auto& matcher : proto.content_type_matcher()) {
    absl::StatusOr<StringMatcher> parsed = StringMatcher::Parse(matcher);
    if (!parsed.ok()) return parsed.status();
    out->type_matchers.push_back(*std::move(parsed));
  }
  return absl::OkStatus();
}

absl::StatusOr<Settings> ReadSettings(const pb::Compressor& proto) {
  Settings out;
  absl::StatusOr<std::shared_ptr<const CompressionLibrary>> library =
      CompressionLibrary::Compressor(proto.compressor_library());
  if (!library.ok()) return library.status();
  out.library = *std::move(library);
  out.choose_first = proto.choose_first();
  const std::vector<std::string> types(std::begin(kDefaultTypes), std::end(kDefaultTypes));
  out.request.types = out.response.types = types;
  out.request.enabled.otherwise = false;
  if (proto.has_request_direction_config()) {
    out.request.enabled.otherwise = true;
    const auto& common = proto.request_direction_config().common_config();
    if (absl::Status status = ReadDirection(common, &out.request); !status.ok()) return status;
  }
  if (!proto.has_response_direction_config()) {
    // The older spelling.
    out.disable_on_etag = proto.disable_on_etag_header();
    out.remove_accept_encoding = proto.remove_accept_encoding_header();
    if (proto.has_content_length()) out.response.least = proto.content_length().value();
    if (proto.content_type_size() != 0) {
      out.response.types.assign(proto.content_type().begin(), proto.content_type().end());
    }
    if (proto.has_runtime_enabled()) {
      out.response.enabled = {proto.runtime_enabled().default_value().value(),
                              proto.runtime_enabled().runtime_key()};
    }
    return out;
  }
  const auto& response = proto.response_direction_config();
  if (absl::Status status = ReadDirection(response.common_config(), &out.response); !status.ok()) {
    return status;
  }
  out.disable_on_etag = response.disable_on_etag_header();
  out.weaken_etag = response.weaken_etag_on_compress();
  out.remove_accept_encoding = response.remove_accept_encoding_header();
  out.status_header = response.status_header_enabled();
  out.codes_left_alone.assign(response.uncompressible_response_codes().begin(),
                              response.uncompressible_response_codes().end());
  return out;
}

absl::StatusOr<std::shared_ptr<const FilterFactory>> Make(absl::string_view config) {
  absl::StatusOr<pb::Compressor> proto = DecodeConfig<pb::Compressor>(config);
  if (!proto.ok()) return proto.status();
  absl::StatusOr<Settings> settings = ReadSettings(*proto);
  if (!settings.ok()) return settings.status();
  std::string prefix = absl::StrCat("compressor.", proto->compressor_library().name(), ".",
                                    settings->library->stat_name());
  return std::make_shared<CompressorFactory>(*std::move(settings), std::move(prefix),
                                             proto->has_response_direction_config());
}

absl::StatusOr<std::shared_ptr<const void>> ParseRoute(absl::string_view config) {
  absl::StatusOr<pb::CompressorPerRoute> proto = DecodeConfig<pb::CompressorPerRoute>(config);
  if (!proto.ok()) return proto.status();
  auto out = std::make_shared<RouteSettings>();
  out->disabled = proto->disabled();
  const auto& overrides = proto->overrides();
  out->response = overrides.has_response_direction_config();
  if (overrides.response_direction_config().has_remove_accept_encoding_header()) {
    out->remove_accept_encoding =
        overrides.response_direction_config().remove_accept_encoding_header().value();
  }
  if (overrides.has_compressor_library()) {
    absl::StatusOr<std::shared_ptr<const CompressionLibrary>> library =
        CompressionLibrary::Compressor(overrides.compressor_library());
    if (!library.ok()) return library.status();
    out->library = *std::move(library);
  }
  return std::shared_ptr<const void>(std::move(out));
}

}  // namespace

HttpFilterType CompressorFilterType() {
  return {"envoy.extensions.filters.http.compressor.v3.Compressor", &Make,
          "envoy.extensions.filters.http.compressor.v3.CompressorPerRoute", &ParseRoute};
}

}  // namespace remora
