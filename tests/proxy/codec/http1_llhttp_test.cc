// llhttp as the differential oracle: what it refuses in its strict build is refused here, and what
// is accepted here it reads in the same way. Built where Debian's node-llhttp is installed.
#ifdef REMORA_HAVE_LLHTTP

#include <gtest/gtest.h>

#include <random>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "llhttp.h"
#include "tests/proxy/codec/http1_support.h"
#include "tests/support/http1_corpus.h"

namespace remora::proxy {
namespace {

// The first message of an input as llhttp reads it.
class LlhttpReading {
 public:
  explicit LlhttpReading(absl::string_view wire) {
    llhttp_settings_init(&settings_);
    settings_.on_url = [](llhttp_t* p, const char* at, size_t n) {
      return Self(p).Add(Self(p).url, at, n);
    };
    settings_.on_header_field = [](llhttp_t* p, const char* at, size_t n) {
      return Self(p).Add(Self(p).name_, at, n);
    };
    settings_.on_header_value = [](llhttp_t* p, const char* at, size_t n) {
      return Self(p).Add(Self(p).value_, at, n);
    };
    settings_.on_header_value_complete = [](llhttp_t* p) { return Self(p).Field(); };
    settings_.on_headers_complete = [](llhttp_t* p) {
      Self(p).upgrade = p->upgrade != 0;
      Self(p).heads += 1;
      return 0;
    };
    settings_.on_body = [](llhttp_t* p, const char* at, size_t n) {
      return Self(p).Add(Self(p).body, at, n);
    };
    settings_.on_message_complete = [](llhttp_t* p) {
      Self(p).complete = true;
      return static_cast<int>(HPE_PAUSED);
    };
    llhttp_init(&parser_, HTTP_REQUEST, &settings_);
    parser_.data = this;
    const llhttp_errno_t error = llhttp_execute(&parser_, wire.data(), wire.size());
    refused = error != HPE_OK && error != HPE_PAUSED && error != HPE_PAUSED_UPGRADE;
    reason = refused && llhttp_get_error_reason(&parser_) != nullptr
                 ? llhttp_get_error_reason(&parser_)
                 : "";
  }

  std::string url, body, fields, reason;
  bool upgrade = false, complete = false, refused = false;
  int heads = 0;

 private:
  static LlhttpReading& Self(llhttp_t* p) { return *static_cast<LlhttpReading*>(p->data); }
  static int Add(std::string& to, const char* at, size_t n) {
    to.append(at, n);
    return 0;
  }
  int Field() {
    if (heads == 0) {
      const std::string name = absl::AsciiStrToLower(name_);
      static constexpr absl::string_view kFraming[] = {
          "host",    "connection", "transfer-encoding", "keep-alive", "proxy-connection",
          "upgrade", "te",         "http2-settings"};
      bool framing = false;
      for (const absl::string_view f : kFraming) framing = framing || name == f;
      if (!framing) {
        const absl::string_view value = absl::StripAsciiWhitespace(value_);
        absl::StrAppend(&fields, name, ": ", std::string(value), "\n");
      }
    }
    name_.clear();
    value_.clear();
    return 0;
  }

  llhttp_settings_t settings_;
  llhttp_t parser_;
  std::string name_, value_;
};

// The first exchange as the codec reads it.
struct OurReading {
  explicit OurReading(absl::string_view wire) {
    FakeCodecHost host;
    FakeServerEvents events;
    auto codec = MakeHttp1ServerCodec(&host, &events, {});
    Body input = BodyOf(wire);
    refused = codec->Feed(input) != nullptr;
    if (events.sinks.empty()) return;
    const FakeSink& sink = *events.sinks.front();
    complete = sink.ends == 1;
    body = sink.body;
    if (sink.headers == nullptr) return;
    path = std::string(sink.headers->path());
    upgrade = sink.headers->method() == "CONNECT" || sink.headers->Has(HeaderId::kUpgrade);
    sink.headers->ForEach([&](const Header& h) {
      if (h.id == HeaderId::kTe || h.id == HeaderId::kConnection || h.id == HeaderId::kUpgrade)
        return;
      absl::StrAppend(&fields, std::string(h.name), ": ", std::string(h.value), "\n");
    });
  }
  std::string path, body, fields;
  bool refused = false, complete = false, upgrade = false;
};

bool NamesFieldsForThisHop(absl::string_view wire) {
  return absl::StrContains(absl::AsciiStrToLower(std::string(wire)), "connection:");
}

void Compare(const std::string& wire) {
  const OurReading ours(wire);
  if (ours.refused || !ours.complete) return;
  const LlhttpReading theirs(wire);
  ASSERT_FALSE(theirs.refused) << theirs.reason << "\n" << wire;
  if (theirs.upgrade) return;
  ASSERT_TRUE(theirs.complete) << wire;
  EXPECT_EQ(ours.body, theirs.body) << wire;
  if (!NamesFieldsForThisHop(wire)) {
    EXPECT_EQ(ours.fields, theirs.fields) << wire;
  }
  if (!ours.path.empty() && theirs.url.front() == '/') {
    EXPECT_EQ(ours.path, theirs.url) << wire;
  }
}

TEST(Http1Llhttp, AgreesOnTheCorpus) {
  int accepted = 0;
  for (const WireCase& c : RequestCases()) {
    Compare(c.wire);
    if (LlhttpReading(c.wire).refused) {
      EXPECT_NE(c.status, 0) << c.name;
    }
    accepted += c.status == 0;
  }
  EXPECT_GT(accepted, 20);
}

// Lawful requests with a few bytes changed, dropped or doubled: the places where parsers differ.
TEST(Http1Llhttp, AgreesOnMutations) {
  std::mt19937 random(20261124);
  std::vector<std::string> seeds;
  for (const WireCase& c : RequestCases()) {
    if (c.wire.size() < 400) seeds.push_back(c.wire + "GET /next HTTP/1.1\r\nHost: n\r\n\r\n");
  }
  static constexpr char kText[] = "\r\n\t :;,0123456789aAfFzZ\x00\x0b\x7f\x80\xff/?#*-_\"";
  constexpr absl::string_view kBytes(kText, sizeof(kText) - 1);
  int complete = 0;
  for (int round = 0; round < 60000; ++round) {
    std::string wire = seeds[random() % seeds.size()];
    const int changes = 1 + static_cast<int>(random() % 3);
    for (int i = 0; i < changes; ++i) {
      const size_t at = random() % wire.size();
      switch (random() % 3) {
        case 0:
          wire[at] = kBytes[random() % kBytes.size()];
          break;
        case 1:
          wire.erase(at, 1);
          break;
        default:
          wire.insert(at, 1, kBytes[random() % kBytes.size()]);
      }
    }
    Compare(wire);
    if (::testing::Test::HasFailure()) return;
    complete += OurReading(wire).complete;
  }
  EXPECT_GT(complete, 2000);
}

}  // namespace
}  // namespace remora::proxy

#endif  // REMORA_HAVE_LLHTTP
