// envoy.filters.http.decompressor: opens bodies that come compressed, and says so upstream.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "envoy/extensions/filters/http/decompressor/v3/decompressor.pb.h"
#include "filters/compression.h"
#include "filters/makers.h"
#include "filters/runtime.h"
#include "filters/typed_config.h"

namespace remora {
namespace {

namespace pb = envoy::extensions::filters::http::decompressor::v3;

enum Stat : uint32_t {
  kDecompressed,
  kNotDecompressed,
  kUncompressedBytes,
  kCompressedBytes,
  kOfDirection,  // requests first, then responses
  kBufferError = 2 * kOfDirection,
  kDataError,
  kZlibErrno,
  kMemoryError,
  kStreamError,
  kVersionError,
};
constexpr FilterStat kStats[] = {{"request.decompressed"},
                                 {"request.not_decompressed"},
                                 {"request.total_uncompressed_bytes"},
                                 {"request.total_compressed_bytes"},
                                 {"response.decompressed"},
                                 {"response.not_decompressed"},
                                 {"response.total_uncompressed_bytes"},
                                 {"response.total_compressed_bytes"},
                                 {"decompressor_library.zlib_buf_error"},
                                 {"decompressor_library.zlib_data_error"},
                                 {"decompressor_library.zlib_errno"},
                                 {"decompressor_library.zlib_mem_error"},
                                 {"decompressor_library.zlib_stream_error"},
                                 {"decompressor_library.zlib_version_error"}};
constexpr size_t kStatsOfAll = 2 * kOfDirection;

struct Direction {
  bool enabled = true;
  std::string key;
  bool ignore_no_transform = false;

  bool Enabled(const Runtime* runtime) const {
    return runtime == nullptr || key.empty() ? enabled : runtime->Boolean(key, enabled);
  }
};

struct Settings {
  std::shared_ptr<const CompressionLibrary> library;
  Direction request;
  Direction response;
  bool advertise = true;
  bool is_gzip = false;
  std::string compressed_header;
  std::string uncompressed_header;
};

bool NoTransform(const Headers& headers) {
  const absl::string_view list = headers.GetJoined(HeaderId::kCacheControl).value_or("");
  for (const absl::string_view part : absl::StrSplit(list, ',')) {
    if (absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(part), "no-transform")) return true;
  }
  return false;
}

// One direction's bytes.
struct Opening {
  std::unique_ptr<Transcoder> transcoder;  // null: they go by
  uint64_t compressed = 0;
  uint64_t uncompressed = 0;
};

class DecompressorFilter final : public HttpFilter {
 public:
  explicit DecompressorFilter(const Settings* settings) : settings_(settings) {}

  Verdict OnRequestHeaders(Headers& headers, bool end) override {
    if (settings_->advertise && settings_->response.Enabled(context_->runtime())) {
      Advertise(headers);
    }
    if (!end) Begin(settings_->request, request_, headers, 0);
    return Verdict::kContinue;
  }
  Verdict OnRequestBody(Body& body, bool end) override {
    if (request_.transcoder == nullptr) return Verdict::kContinue;
    Run(request_, body, end, 0);
    if (end) Report(request_, context_->AddRequestTrailers());
    return Verdict::kContinue;
  }
  Verdict OnRequestTrailers(Headers& trailers) override {
    if (request_.transcoder != nullptr) Report(request_, trailers);
    return Verdict::kContinue;
  }
  Verdict OnResponseHeaders(Headers& headers, bool end) override {
    if (!end) Begin(settings_->response, response_, headers, kOfDirection);
    return Verdict::kContinue;
  }
  Verdict OnResponseBody(Body& body, bool end) override {
    if (response_.transcoder == nullptr) return Verdict::kContinue;
    Run(response_, body, end, kOfDirection);
    if (end) Report(response_, context_->AddResponseTrailers());
    return Verdict::kContinue;
  }
  Verdict OnResponseTrailers(Headers& trailers) override {
    if (response_.transcoder != nullptr) Report(response_, trailers);
    return Verdict::kContinue;
  }

 private:
  void Advertise(Headers& headers) {
    const absl::string_view encoding = settings_->library->encoding();
    const absl::string_view list = headers.GetJoined(HeaderId::kAcceptEncoding).value_or("");
    std::string value;
    for (const absl::string_view part : absl::StrSplit(list, ',')) {
      const absl::string_view token = absl::StripAsciiWhitespace(part);
      const absl::string_view name = absl::StripAsciiWhitespace(token.substr(0, token.find(';')));
      if (name.empty() || absl::EqualsIgnoreCase(name, encoding)) continue;
      absl::StrAppend(&value, token, ",");
    }
    absl::StrAppend(&value, encoding);
    headers.Set(HeaderId::kAcceptEncoding, value);
  }

  void Begin(const Direction& direction, Opening& opening, Headers& headers, uint32_t stats) {
    const absl::string_view list = headers.GetJoined(HeaderId::kContentEncoding).value_or("");
    const size_t comma = list.find(',');
    const absl::string_view first = absl::StripAsciiWhitespace(list.substr(0, comma));
    if (!direction.Enabled(context_->runtime()) ||
        !absl::EqualsIgnoreCase(first, settings_->library->encoding()) ||
        (!direction.ignore_no_transform && NoTransform(headers))) {
      context_->Count(stats + kNotDecompressed);
      return;
    }
    context_->Count(stats + kDecompressed);
    opening.transcoder = settings_->library->Make();
    headers.Remove(HeaderId::kContentLength);
    if (comma == absl::string_view::npos) {
      headers.Remove(HeaderId::kContentEncoding);
    } else {
      headers.Set(HeaderId::kContentEncoding, absl::StripAsciiWhitespace(list.substr(comma + 1)));
    }
  }

  void Run(Opening& opening, Body& body, bool end, uint32_t stats) {
    opening.compressed += body.size();
    context_->Count(stats + kCompressedBytes, static_cast<int64_t>(body.size()));
    opening.transcoder->Process(body, end);
    opening.uncompressed += body.size();
    context_->Count(stats + kUncompressedBytes, static_cast<int64_t>(body.size()));
    if (!settings_->is_gzip) return;
    const DecompressionTroubles troubles = opening.transcoder->TakeTroubles();
    if (troubles.data_errors != 0) {
      context_->Count(kDataError, static_cast<int64_t>(troubles.data_errors));
    }
  }

  void Report(const Opening& opening, Headers& trailers) {
    trailers.Set(settings_->compressed_header, absl::AlphaNum(opening.compressed).Piece());
    trailers.Set(settings_->uncompressed_header, absl::AlphaNum(opening.uncompressed).Piece());
  }

  const Settings* settings_;
  Opening request_;
  Opening response_;
};

class DecompressorFactory final : public FilterFactory {
 public:
  DecompressorFactory(Settings settings, std::string prefix)
      : settings_(std::move(settings)), prefix_(std::move(prefix)) {}
  HttpFilter* Create(Arena& arena) const override {
    return new (arena.Allocate(sizeof(DecompressorFilter))) DecompressorFilter(&settings_);
  }
  absl::Span<const FilterStat> stats() const override {
    return settings_.is_gzip ? absl::MakeConstSpan(kStats)
                             : absl::MakeConstSpan(kStats, kStatsOfAll);
  }
  absl::string_view stat_prefix() const override { return prefix_; }

 private:
  Settings settings_;
  std::string prefix_;
};

void ReadDirection(const pb::Decompressor::CommonDirectionConfig& proto, Direction* out) {
  if (proto.has_enabled()) {
    out->enabled = proto.enabled().default_value().value();
    out->key = proto.enabled().runtime_key();
  }
  out->ignore_no_transform = proto.ignore_no_transform_header();
}

absl::StatusOr<std::shared_ptr<const FilterFactory>> Make(absl::string_view config) {
  absl::StatusOr<pb::Decompressor> proto = DecodeConfig<pb::Decompressor>(config);
  if (!proto.ok()) return proto.status();
  absl::StatusOr<std::shared_ptr<const CompressionLibrary>> library =
      CompressionLibrary::Decompressor(proto->decompressor_library());
  if (!library.ok()) return library.status();
  Settings settings;
  settings.library = *std::move(library);
  const std::string& name = proto->decompressor_library().name();
  settings.is_gzip = settings.library->stat_name() == "gzip.";
  settings.compressed_header =
      absl::AsciiStrToLower(absl::StrCat("x-envoy-decompressor-", name, "-compressed-bytes"));
  settings.uncompressed_header =
      absl::AsciiStrToLower(absl::StrCat("x-envoy-decompressor-", name, "-uncompressed-bytes"));
  ReadDirection(proto->request_direction_config().common_config(), &settings.request);
  ReadDirection(proto->response_direction_config().common_config(), &settings.response);
  if (proto->request_direction_config().has_advertise_accept_encoding()) {
    settings.advertise = proto->request_direction_config().advertise_accept_encoding().value();
  }
  std::string prefix = absl::StrCat("decompressor.", name, ".", settings.library->stat_name());
  return std::make_shared<DecompressorFactory>(std::move(settings), std::move(prefix));
}

}  // namespace

HttpFilterType DecompressorFilterType() {
  return {"envoy.extensions.filters.http.decompressor.v3.Decompressor", &Make, {}, nullptr};
}

}  // namespace remora
