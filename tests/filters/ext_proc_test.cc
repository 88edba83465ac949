#include <gtest/gtest.h>

#include <string>

#include "envoy/extensions/filters/http/ext_proc/v3/ext_proc.pb.h"
#include "envoy/service/ext_proc/v3/external_processor.pb.h"
#include "tests/support/filters/typed_harness.h"

namespace remora {
namespace {

namespace config = envoy::extensions::filters::http::ext_proc::v3;
namespace service = envoy::service::ext_proc::v3;

class ExtProc : public testing::TypedHarness<config::ExternalProcessor> {
 public:
  explicit ExtProc(const std::string& text = "")
      : TypedHarness("grpc_service { envoy_grpc { cluster_name: \"p\" } }" + text) {
    request.Add("content-length", "3");
    response.Add("content-length", "5");
  }

  // What the processor was told last.
  service::ProcessingRequest Told() const {
    service::ProcessingRequest out;
    EXPECT_TRUE(!stream_sent.empty() && out.ParseFromString(stream_sent.back()));
    return out;
  }
  void Answer(const std::string& text) {
    ASSERT_NE(stream_events, nullptr);
    stream_events->OnSideMessage(testing::Serialized<service::ProcessingResponse>(text));
  }
};

TEST(ExtProcTest, HeadersWaitForTheirChange) {
  ExtProc harness;
  EXPECT_EQ(harness.Request(true), Verdict::kBuffer);
  EXPECT_EQ(harness.call_cluster, "p");
  EXPECT_EQ(harness.call_method, "/envoy.service.ext_proc.v3.ExternalProcessor/Process");
  EXPECT_TRUE(harness.Told().request_headers().end_of_stream());
  EXPECT_TRUE(harness.Told().has_protocol_config());
  harness.request.Add("x-old", "1");
  harness.Answer(R"(request_headers { response { header_mutation {
      set_headers { header { key: "X-New" raw_value: "v" } }
      set_headers { header { key: "x-envoy-no" raw_value: "v" } }
      set_headers { header { key: "host" raw_value: "v" } }
      remove_headers: "x-old" remove_headers: ":method" } } })");
  EXPECT_EQ(harness.resumed, 1);
  EXPECT_EQ(harness.Value(harness.request, "x-new"), "v");
  EXPECT_EQ(harness.Value(harness.request, "x-old"), "(none)");
  EXPECT_EQ(harness.request.method(), "GET");
  EXPECT_EQ(harness.Stat("rejected_header_mutations"), 3u);
  EXPECT_FALSE(harness.timer.has_value()) << "nothing is awaited";
}

TEST(ExtProcTest, AWholeBodyIsToldAtItsEndAndItsLengthHasToFit) {
  for (const bool fits : {true, false}) {
    ExtProc harness("processing_mode { request_body_mode: BUFFERED }");
    harness.Request(false);
    harness.Answer("request_headers {}");
    EXPECT_EQ(harness.resumed, 0) << "the headers wait for the body";
    harness.kept_request.Append("a");
    EXPECT_EQ(harness.RequestBody("bc", true), Verdict::kBuffer);
    EXPECT_EQ(harness.Told().request_body().body(), "abc");
    EXPECT_TRUE(harness.Told().request_body().end_of_stream());
    harness.Answer(std::string("request_body { response { body_mutation { body: \"") +
                   (fits ? "xyz" : "long") + "\" } } }");
    if (fits) {
      EXPECT_EQ(harness.kept_request.ToString(), "xyz");
      EXPECT_EQ(harness.resumed, 1);
    } else {
      EXPECT_EQ(harness.reply_status, 500);
      EXPECT_EQ(harness.reply_details,
                "mismatch_between_content_length_and_the_length_of_the_mutated_body");
    }
  }
}

TEST(ExtProcTest, PiecesGoByOneByOne) {
  ExtProc harness("processing_mode { request_body_mode: STREAMED }");
  harness.Request(false);
  EXPECT_EQ(harness.RequestBody("early", false), Verdict::kBuffer);
  EXPECT_EQ(harness.stream_sent.size(), 1u) << "the headers come first";
  harness.Answer("request_headers {}");
  EXPECT_EQ(harness.Told().request_body().body(), "early");
  EXPECT_EQ(harness.Value(harness.request, "content-length"), "(none)");
  harness.RequestBody("late", true);
  EXPECT_EQ(harness.stream_sent.size(), 3u);
  harness.Answer("request_body { response { body_mutation { body: \"EARLY\" } } }");
  EXPECT_EQ(harness.injected_request.ToString(), "EARLY");
  EXPECT_EQ(harness.resumed, 0);
  harness.Answer("request_body {}");
  EXPECT_EQ(harness.injected_request.ToString(), "EARLYlate");
  EXPECT_EQ(harness.resumed, 1);
}

TEST(ExtProcTest, ADuplexBodyIsWhatTheProcessorSays) {
  ExtProc harness(R"(processing_mode { request_body_mode: FULL_DUPLEX_STREAMED
                                       request_trailer_mode: SEND })");
  harness.Request(false);
  harness.RequestBody("abc", true);
  harness.Answer("request_headers {}");
  harness.Answer(R"(request_body { response { body_mutation {
      streamed_response { body: "one " } } } })");
  EXPECT_EQ(harness.resumed, 0);
  harness.Answer(R"(request_body { response { body_mutation {
      streamed_response { body: "two" end_of_stream: true } } } })");
  EXPECT_EQ(harness.injected_request.ToString(), "one two");
  EXPECT_EQ(harness.resumed, 1);
}

TEST(ExtProcTest, HeadersMayBringANewBody) {
  ExtProc harness;
  harness.Request(true);
  harness.Answer(R"(request_headers { response { status: CONTINUE_AND_REPLACE
      body_mutation { body: "new" } } })");
  EXPECT_EQ(harness.injected_request.ToString(), "new");
  EXPECT_EQ(harness.Value(harness.request, "content-length"), "(none)");
  EXPECT_EQ(harness.resumed, 1);
}

TEST(ExtProcTest, AnAnswerOfItsOwn) {
  ExtProc harness;
  harness.Request(true);
  harness.Answer(R"(immediate_response { status { code: Forbidden } body: "no" details: "why not"
      headers { set_headers { header { key: "x-i" raw_value: "1" } } } })");
  EXPECT_EQ(harness.reply_status, 403);
  EXPECT_EQ(harness.reply_body, "no");
  EXPECT_EQ(harness.reply_details, "why_not");
  EXPECT_EQ(harness.Value(harness.response, "x-i"), "1");
  EXPECT_EQ(harness.ResponseHeaders(), Verdict::kContinue) << "its own answer is not told";
}

TEST(ExtProcTest, WhoTakesTooLongFailsOrIsLeftOut) {
  for (const bool allowed : {false, true}) {
    ExtProc harness(allowed ? "failure_mode_allow: true" : "");
    harness.Request(true);
    EXPECT_EQ(harness.timer, 200'000'000);
    harness.now += 200'000'000;
    harness.filter->OnTimer();
    EXPECT_EQ(harness.Stat("message_timeouts"), 1u);
    EXPECT_EQ(harness.resumed, allowed ? 1 : 0);
    EXPECT_EQ(harness.replies, allowed ? 0 : 1);
    if (!allowed) {
      EXPECT_EQ(harness.reply_status, 504);
      EXPECT_EQ(harness.reply_details, "ext_proc_error_per-message_timeout_exceeded");
    } else {
      EXPECT_EQ(harness.Stat("failure_mode_allowed"), 1u);
      EXPECT_EQ(harness.ResponseHeaders(), Verdict::kContinue);
    }
  }
}

TEST(ExtProcTest, ABrokenStreamIsAnErrorAClosedOneIsNot) {
  ExtProc broken;
  broken.Request(true);
  broken.stream_events->OnSideClosed(13, "boo hoo");
  EXPECT_EQ(broken.reply_status, 500);
  EXPECT_EQ(broken.reply_details, "ext_proc_error_gRPC_error_13{boo_hoo{via_upstream}}");

  ExtProc closed("processing_mode { request_body_mode: STREAMED }");
  closed.Request(false);
  closed.RequestBody("kept", false);
  closed.stream_events->OnSideClosed(0, "");
  EXPECT_EQ(closed.injected_request.ToString(), "kept");
  EXPECT_EQ(closed.resumed, 1);
  EXPECT_EQ(closed.RequestBody("more", true), Verdict::kContinue);
}

TEST(ExtProcTest, AnAnswerToNothingIsAnError) {
  ExtProc harness;
  harness.Request(true);
  harness.Answer("response_headers {}");
  EXPECT_EQ(harness.reply_details, "spurious_message");
  EXPECT_EQ(harness.Stat("spurious_msgs_received"), 1u);
}

TEST(ExtProcTest, ModesMayBeChangedWhereThatIsAllowed) {
  for (const bool allowed : {false, true}) {
    ExtProc harness(allowed ? "allow_mode_override: true" : "");
    harness.Request(true);
    harness.Answer("request_headers {} mode_override { response_header_mode: SKIP }");
    EXPECT_EQ(harness.ResponseHeaders(), allowed ? Verdict::kContinue : Verdict::kBuffer);
  }
}

TEST(ExtProcTest, MoreTimeUpToALimitAndOnce) {
  ExtProc harness("max_message_timeout { seconds: 1 }");
  harness.Request(true);
  harness.Answer("override_message_timeout { seconds: 2 }");
  EXPECT_EQ(harness.Stat("override_message_timeout_ignored"), 1u);
  harness.Answer("override_message_timeout { seconds: 1 }");
  EXPECT_EQ(harness.timer, 1'000'000'000);
  harness.Answer("override_message_timeout { seconds: 1 }");
  EXPECT_EQ(harness.Stat("override_message_timeout_ignored"), 2u);
}

TEST(ExtProcTest, ARouteLeavesItOut) {
  ExtProc harness;
  harness.AddRouteConfig(config::ExtProcPerRoute::descriptor()->full_name(),
                         testing::Serialized<config::ExtProcPerRoute>("disabled: true"));
  EXPECT_EQ(harness.Request(true), Verdict::kContinue);
  EXPECT_TRUE(harness.stream_sent.empty());
}

TEST(ExtProcTest, AnObserverHoldsNothingUp) {
  ExtProc harness("observability_mode: true processing_mode { request_body_mode: STREAMED }");
  EXPECT_EQ(harness.Request(false), Verdict::kContinue);
  EXPECT_EQ(harness.RequestBody("abc", true), Verdict::kContinue);
  EXPECT_EQ(harness.stream_sent.size(), 2u);
  EXPECT_FALSE(harness.timer.has_value());
}

}  // namespace
}  // namespace remora
