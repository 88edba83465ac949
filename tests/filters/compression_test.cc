#include "filters/compression.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "envoy/config/core/v3/extension.pb.h"
#include "envoy/extensions/compression/brotli/compressor/v3/brotli.pb.h"
#include "envoy/extensions/compression/brotli/decompressor/v3/brotli.pb.h"
#include "envoy/extensions/compression/gzip/compressor/v3/gzip.pb.h"
#include "envoy/extensions/compression/gzip/decompressor/v3/gzip.pb.h"
#include "envoy/extensions/compression/zstd/compressor/v3/zstd.pb.h"
#include "envoy/extensions/compression/zstd/decompressor/v3/zstd.pb.h"
#include "envoy/extensions/filters/http/compressor/v3/compressor.pb.h"
#include "envoy/extensions/filters/http/decompressor/v3/decompressor.pb.h"
#include "filters/api/filter_state.h"
#include "tests/support/filters/typed_harness.h"

namespace remora {
namespace {

namespace compression = envoy::extensions::compression;
namespace http = envoy::extensions::filters::http;
using Compressor = testing::TypedHarness<http::compressor::v3::Compressor>;
using Decompressor = testing::TypedHarness<http::decompressor::v3::Decompressor>;

template <typename Proto>
std::unique_ptr<Transcoder> Make(bool compresses, const Proto& proto = {}) {
  envoy::config::core::v3::TypedExtensionConfig config;
  config.mutable_typed_config()->PackFrom(proto);
  auto library = compresses ? CompressionLibrary::Compressor(config)
                            : CompressionLibrary::Decompressor(config);
  EXPECT_TRUE(library.ok()) << library.status();
  // A library outlives what it makes.
  static std::vector<std::shared_ptr<const CompressionLibrary>> libraries;
  libraries.push_back(*library);
  return libraries.back()->Make();
}

std::string Text() {
  std::string out;
  for (int i = 0; i < 20000; ++i) out += std::to_string(i * 7919 % 1000) + " ";
  return out;
}

// Small and large again, in pieces of odd sizes.
void RoundTrip(Transcoder& small, Transcoder& large) {
  const std::string text = Text();
  std::string out;
  uint64_t size = 0;
  for (size_t at = 0; at < text.size(); at += 7001) {
    Body piece;
    piece.Append(text.substr(at, 7001));
    small.Process(piece, at + 7001 >= text.size());
    size += piece.size();
    large.Process(piece, false);
    out += piece.ToString();
    EXPECT_EQ(out.size(), std::min(at + 7001, text.size())) << "what was said can be read at once";
  }
  EXPECT_EQ(out, text);
  EXPECT_LT(size, text.size());
}

TEST(CompressionTest, EveryLibraryThereAndBack) {
  RoundTrip(*Make<compression::gzip::compressor::v3::Gzip>(true),
            *Make<compression::gzip::decompressor::v3::Gzip>(false));
  RoundTrip(*Make<compression::brotli::compressor::v3::Brotli>(true),
            *Make<compression::brotli::decompressor::v3::Brotli>(false));
  RoundTrip(*Make<compression::zstd::compressor::v3::Zstd>(true),
            *Make<compression::zstd::decompressor::v3::Zstd>(false));
}

TEST(CompressionTest, WhatIsNoSuchTextGivesNothing) {
  auto gzip = Make<compression::gzip::decompressor::v3::Gzip>(false);
  Body body;
  body.Append("not compressed");
  gzip->Process(body, true);
  EXPECT_EQ(body.size(), 0u);
  EXPECT_EQ(gzip->TakeTroubles().data_errors, 1u);
}

TEST(CompressionTest, ABombIsDefused) {
  auto small = Make<compression::gzip::compressor::v3::Gzip>(true);
  Body body;
  body.Append(std::string(10'000'000, 'x'));
  small->Process(body, true);
  auto large = Make<compression::gzip::decompressor::v3::Gzip>(false);
  large->Process(body, true);
  EXPECT_LT(body.size(), 5'000'000u);
  EXPECT_GE(large->TakeTroubles().data_errors, 1u);
}

std::string Library(const std::string& kind) {
  return R"(compressor_library { name: "lib" typed_config { type_url:
      "type.googleapis.com/envoy.extensions.compression.)" +
         kind + R"(" } })";
}
const char kGzip[] = "gzip.compressor.v3.Gzip";

void Answer(testing::FilterHarness& harness, const char* type = "text/plain",
            const char* length = "1000") {
  harness.response.Add("content-type", type);
  harness.response.Add("content-length", length);
}

TEST(CompressorTest, AClientThatTakesItGetsIt) {
  Compressor harness(Library(kGzip));
  harness.request.Add("accept-encoding", "br, gzip;q=0.5");
  harness.Request(true);
  Answer(harness);
  harness.response.Add("etag", "\"a\"");
  harness.ResponseHeaders();
  EXPECT_EQ(harness.Value(harness.response, "content-encoding"), "gzip");
  EXPECT_EQ(harness.Value(harness.response, "content-length"), "(none)");
  EXPECT_EQ(harness.Value(harness.response, "vary"), "Accept-Encoding");
  EXPECT_EQ(harness.Value(harness.response, "etag"), "(none)");
  std::string text = Text();
  harness.ResponseBody(&text, true);
  EXPECT_EQ(text.substr(0, 2), "\x1f\x8b");
  EXPECT_EQ(harness.Stat("compressed"), 1u);
  EXPECT_EQ(harness.Stat("header_compressor_used"), 1u);
}

TEST(CompressorTest, WhatSpeaksAgainstIt) {
  const auto encoding = [](const char* accepted, const char* type, const char* length,
                           const char* name = "x", const char* value = "y") {
    Compressor harness(Library(kGzip));
    if (accepted != nullptr) harness.request.Add("accept-encoding", accepted);
    harness.Request(true);
    Answer(harness, type, length);
    harness.response.Add(name, value);
    harness.ResponseHeaders();
    return harness.Value(harness.response, "content-encoding");
  };
  EXPECT_EQ(encoding("gzip", "text/plain", "30"), "gzip");
  EXPECT_EQ(encoding("*", "text/html; charset=x", "30"), "gzip");
  EXPECT_EQ(encoding(nullptr, "text/plain", "30"), "(none)");
  EXPECT_EQ(encoding("gzip;q=0", "text/plain", "30"), "(none)");
  EXPECT_EQ(encoding("identity, gzip", "text/plain", "30"), "(none)");
  EXPECT_EQ(encoding("gzip", "image/png", "30"), "(none)");
  EXPECT_EQ(encoding("gzip", "text/plain", "29"), "(none)");
  EXPECT_EQ(encoding("gzip", "text/plain", "30", "cache-control", "a, no-transform"), "(none)");
  EXPECT_EQ(encoding("gzip", "text/plain", "30", "content-encoding", "br"), "br");
}

TEST(CompressorTest, OfTwoFiltersTheOneTheClientPrefers) {
  Compressor gzip(Library(kGzip));
  Compressor brotli(Library("brotli.compressor.v3.Brotli"));
  gzip.request.Add("accept-encoding", "gzip;q=0.5, br");
  gzip.Request(true);
  brotli.request.Add("accept-encoding", "gzip;q=0.5, br");
  // Both are filters of one exchange.
  brotli.state.objects = gzip.state.objects;
  brotli.Request(true);
  Answer(brotli);
  brotli.ResponseHeaders();
  EXPECT_EQ(brotli.Value(brotli.response, "content-encoding"), "br");
  Answer(gzip);
  gzip.ResponseHeaders();
  EXPECT_EQ(gzip.Value(gzip.response, "content-encoding"), "(none)");
  EXPECT_EQ(gzip.Stat("header_compressor_overshadowed"), 1u);
}

TEST(CompressorTest, RequestsWhereAskedFor) {
  Compressor harness(Library(kGzip) + "request_direction_config {}");
  harness.request.Add("content-type", "text/plain");
  harness.request.Add("content-length", "100");
  harness.Request(false);
  EXPECT_EQ(harness.Value(harness.request, "content-encoding"), "gzip");
  EXPECT_EQ(harness.Stat("request.compressed"), 1u);
  EXPECT_EQ(harness.Stat("not_compressed"), 0u);
}

TEST(CompressorTest, ARouteTurnsItOffOrTakesAnotherLibrary) {
  using Route = http::compressor::v3::CompressorPerRoute;
  Compressor off(Library(kGzip));
  off.AddRouteConfig(Route::descriptor()->full_name(),
                     testing::Serialized<Route>("disabled: true"));
  off.request.Add("accept-encoding", "gzip");
  off.Request(true);
  Answer(off);
  off.ResponseHeaders();
  EXPECT_EQ(off.Value(off.response, "content-encoding"), "(none)");

  Compressor other(Library(kGzip));
  other.AddRouteConfig(
      Route::descriptor()->full_name(),
      testing::Serialized<Route>("overrides {" + Library("zstd.compressor.v3.Zstd") + "}"));
  other.request.Add("accept-encoding", "zstd");
  other.Request(true);
  Answer(other);
  other.ResponseHeaders();
  EXPECT_EQ(other.Value(other.response, "content-encoding"), "zstd");
}

TEST(DecompressorTest, ResponsesAreOpenedAndTheUpstreamIsTold) {
  Decompressor harness(R"(decompressor_library { name: "lib" typed_config { type_url:
      "type.googleapis.com/envoy.extensions.compression.gzip.decompressor.v3.Gzip" } })");
  harness.request.Add("accept-encoding", "br;q=0.5, gzip;q=0.1");
  harness.Request(true);
  EXPECT_EQ(harness.Value(harness.request, "accept-encoding"), "br;q=0.5,gzip");
  harness.response.Add("content-encoding", "gzip, br");
  harness.response.Add("content-length", "20");
  harness.ResponseHeaders();
  EXPECT_EQ(harness.Value(harness.response, "content-encoding"), "br");
  EXPECT_EQ(harness.Value(harness.response, "content-length"), "(none)");
  auto small = Make<compression::gzip::compressor::v3::Gzip>(true);
  Body body;
  body.Append("hello");
  small->Process(body, true);
  std::string text = body.ToString();
  harness.ResponseBody(&text, true);
  EXPECT_EQ(text, "hello");
  EXPECT_EQ(harness.Stat("response.decompressed"), 1u);
  ASSERT_TRUE(harness.added_response_trailers.has_value());
  EXPECT_EQ(harness.Value(*harness.added_response_trailers,
                          "x-envoy-decompressor-lib-uncompressed-bytes"),
            "5");
}

}  // namespace
}  // namespace remora
