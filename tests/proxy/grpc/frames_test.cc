#include "proxy/grpc/frames.h"

#include <gtest/gtest.h>

namespace remora::proxy {
namespace {

using Next = GrpcFrameReader::Next;

TEST(GrpcFramesTest, MessagesComeOutAsTheyWentIn) {
  Body wire;
  AppendGrpcFrame("hello", &wire);
  AppendGrpcFrame("", &wire);
  AppendGrpcFrame(std::string(70000, 'x'), &wire);
  GrpcFrameReader reader(0);
  Body message;
  std::vector<std::string> messages;
  // Byte by byte for the first, then in lumps.
  while (!wire.empty()) {
    Body piece;
    piece.Append(wire, messages.empty() ? 1 : 1000);
    reader.Add(piece);
    while (reader.Take(&message) == Next::kMessage) messages.push_back(message.ToString());
  }
  ASSERT_EQ(messages.size(), 3u);
  EXPECT_EQ(messages[0], "hello");
  EXPECT_EQ(messages[1], "");
  EXPECT_EQ(messages[2].size(), 70000u);
  EXPECT_EQ(reader.left(), 0u);
}

TEST(GrpcFramesTest, LimitsAndFlags) {
  Body wire;
  AppendGrpcFrame("0123456789", &wire);
  GrpcFrameReader small(9);
  Body message;
  Body copy;
  copy.AppendShared(wire);
  small.Add(copy);
  EXPECT_EQ(small.Take(&message), Next::kTooLong);

  Body compressed;
  compressed.Append(absl::string_view("\1\0\0\0\0", 5));
  GrpcFrameReader reader(0);
  reader.Add(compressed);
  EXPECT_EQ(reader.Take(&message), Next::kCompressed);
}

TEST(GrpcFramesTest, Texts) {
  EXPECT_EQ(DecodeGrpcMessage("a%20b%E2%82%AC%"), "a b\xE2\x82\xAC%");
  EXPECT_EQ(DecodeGrpcMessage("100%"), "100%");
  EXPECT_EQ(DecodeGrpcMessage("%zz"), "%zz");
  EXPECT_EQ(GrpcTimeoutValue(1500), "1500m");
  EXPECT_EQ(GrpcTimeoutValue(200000000), "200000S");
}

}  // namespace
}  // namespace remora::proxy
