#include "docker/gateway/sent_files.h"

#include <gmock/gmock.h>

#include "buildkit.pb.h"

namespace ebbtide::gateway {
namespace {

using buildkit::FilePacket;
using testing::ElementsAre;
using testing::Optional;

std::string name(const std::string& path, const std::string& link = "") {
  FilePacket packet;
  packet.mutable_stat()->set_path(path);
  packet.mutable_stat()->set_link_name(link);
  return packet.SerializeAsString();
}

std::string data(std::uint32_t id, const std::string& content) {
  FilePacket packet;
  packet.set_type(FilePacket::DATA);
  packet.set_id(id);
  packet.set_data(content);
  return packet.SerializeAsString();
}

TEST(SentFiles, DockerfilesAreHeldUntilTheyAreWhole) {
  SentFiles files;
  ASSERT_TRUE(files.take(name("Dockerfile"))->message);
  for (const auto* piece : {"FROM ", "a\n"}) {
    const auto step = files.take(data(0, piece));
    EXPECT_FALSE(step->message || step->file);
  }
  const auto end = files.take(data(0, ""));
  EXPECT_THAT(end->file, Optional(std::string("FROM a\n")));
  EXPECT_FALSE(end->message);
  EXPECT_THAT(SentFiles::whole(end->id, *end->file), ElementsAre(data(0, "FROM a\n"), data(0, "")));
  EXPECT_THAT(SentFiles::whole(1, ""), ElementsAre(data(1, "")));
  EXPECT_FALSE(files.take(data(0, "FROM b\n"))) << "after its end";
}

TEST(SentFiles, IgnoreFilesAreNoDockerfilesNorIsAnythingALinkToThem) {
  SentFiles files;
  ASSERT_TRUE(files.take(name("Dockerfile")));
  ASSERT_TRUE(files.take(name("Dockerfile.dockerignore")));
  EXPECT_THAT(files.take(data(1, "FROM x\n"))->message, Optional(data(1, "FROM x\n")));
  EXPECT_EQ(files.take(data(1, ""))->file, std::nullopt);
  EXPECT_TRUE(files.take(name("other", "Dockerfile")));
  EXPECT_FALSE(files.take(name("other", "Dockerfile.dockerignore")));
  EXPECT_FALSE(files.take(name("other", "./Dockerfile.dockerignore/.")));
}

TEST(SentFiles, GoOnWrittenAnewWithWhatIsNotReadOfThem) {
  FilePacket packet;
  packet.mutable_stat()->set_path("a\xff");
  auto bytes = packet.SerializeAsString();
  bytes += std::string("\x12\x04\x28\x07\x10\x01", 6);  // the same field once more: a size and a mode
  SentFiles files;
  const auto step = files.take(bytes);
  ASSERT_TRUE(step);
  FilePacket passed;
  ASSERT_TRUE(passed.ParseFromString(*step->message));
  EXPECT_EQ(passed.stat().path(), "a\xff");
  EXPECT_EQ(passed.stat().GetReflection()->GetUnknownFields(passed.stat()).field_count(), 2);
}

TEST(SentFiles, OtherMessagesPass) {
  FilePacket end;
  end.set_type(FilePacket::FIN);
  SentFiles files;
  EXPECT_EQ(files.take(end.SerializeAsString())->message, end.SerializeAsString());
  EXPECT_TRUE(files.take(end.SerializeAsString())->ends);
  EXPECT_EQ(files.take("")->message, std::string()) << "the end of the names";
  EXPECT_FALSE(files.take("\xff\xff"));
}

TEST(SentFiles, AreBounded) {
  SentFiles files;
  bool refused = false;
  for (std::uint32_t i = 0; i < 20 && !refused; ++i) refused = !files.take(data(i, std::string(1 << 20, 'x')));
  EXPECT_TRUE(refused);
}

}  // namespace
}  // namespace ebbtide::gateway
