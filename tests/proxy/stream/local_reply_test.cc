#include "proxy/stream/local_reply.h"

#include <string>

#include "filters/formatter.h"
#include "gtest/gtest.h"

namespace remora::proxy {
namespace {

class LocalReplyTest : public testing::Test {
 protected:
  LocalReplyTest() {
    request_.set_pseudo(HeaderId::kMethod, "GET");
    request_.set_pseudo(HeaderId::kPath, "/p");
    info_.request_headers = &request_;
    reply_.status = 404;
  }

  PreparedReply Prepare() {
    return PrepareLocalReply(reply_, {config_, {}, nullptr, 0, arena_, info_});
  }
  static std::string Value(const PreparedReply& reply, absl::string_view name) {
    return std::string(reply.headers->Get(name).value_or("(none)"));
  }
  static xds::Format Text(const std::string& text, const std::string& type = "") {
    xds::Format format;
    format.kind = xds::Format::Kind::kText;
    format.content_type = type;
    format.formatter = *Formatter::Parse(text);
    return format;
  }

  xds::HttpConnectionManager config_;
  Arena arena_;
  Headers request_{&arena_};
  StreamInfo info_;
  LocalReply reply_;
};

TEST_F(LocalReplyTest, ABodyBringsTypeAndLength) {
  reply_.body = "gone";
  const PreparedReply out = Prepare();
  EXPECT_EQ(out.headers->status(), 404);
  EXPECT_EQ(Value(out, "content-type"), "text/plain");
  EXPECT_EQ(Value(out, "content-length"), "4");
  EXPECT_EQ(out.body, "gone");
}

TEST_F(LocalReplyTest, WithoutBodyThereIsNeither) {
  const PreparedReply out = Prepare();
  EXPECT_EQ(Value(out, "content-type"), "(none)");
  EXPECT_EQ(Value(out, "content-length"), "(none)");
}

TEST_F(LocalReplyTest, HeadKeepsTheLengthOnly) {
  request_.set_pseudo(HeaderId::kMethod, "HEAD");
  reply_.body = "gone";
  const PreparedReply out = Prepare();
  EXPECT_EQ(Value(out, "content-length"), "4");
  EXPECT_EQ(out.body, "");
}

TEST_F(LocalReplyTest, GrpcGetsTrailersOnly) {
  request_.Add("content-type", "application/grpc+proto");
  reply_.status = 503;
  reply_.body = "50% off\n";
  const PreparedReply out = Prepare();
  EXPECT_EQ(out.headers->status(), 200);
  EXPECT_EQ(Value(out, "grpc-status"), "14");
  EXPECT_EQ(Value(out, "grpc-message"), "50%25 off");
  EXPECT_EQ(Value(out, "content-type"), "application/grpc");
  EXPECT_EQ(Value(out, "content-length"), "(none)");
  EXPECT_EQ(out.body, "");
  // Filters of access logs look at the HTTP status.
  EXPECT_EQ(info_.response_code, 503);
}

TEST_F(LocalReplyTest, TheFirstMapperThatMatchesDecides) {
  xds::LocalReplyMapper other;
  other.filter.kind = xds::AccessLogFilter::Kind::kStatusCode;
  other.filter.value = 503;
  other.status = 500;
  xds::LocalReplyMapper mapper;
  mapper.filter.kind = xds::AccessLogFilter::Kind::kStatusCode;
  mapper.filter.value = 404;
  mapper.status = 410;
  mapper.body = "not here";
  xds::HeaderAddition header;
  header.name = "x-mapped";
  header.text = "yes";
  mapper.headers.push_back(header);
  config_.local_reply_mappers = {other, mapper};
  config_.local_reply_format = Text("%RESPONSE_CODE%: %LOCAL_REPLY_BODY%\n", "text/x");
  const PreparedReply out = Prepare();
  EXPECT_EQ(out.headers->status(), 410);
  EXPECT_EQ(out.body, "410: not here\n");
  EXPECT_EQ(Value(out, "x-mapped"), "yes");
  EXPECT_EQ(Value(out, "content-type"), "text/x");
  EXPECT_EQ(Value(out, "content-length"), "14");
}

TEST_F(LocalReplyTest, EditsMayChooseTheContentType) {
  reply_.body = "<p>";
  reply_.edit = [](Headers& headers) { headers.Add("content-type", "text/html"); };
  EXPECT_EQ(Value(Prepare(), "content-type"), "text/html");
}

}  // namespace
}  // namespace remora::proxy
