# What `cmake --install` puts where, and the .deb of `cpack -G DEB`. Component `program`: what a new version replaces;
# `configuration`: what the administrator owns from then on.
include(GNUInstallDirs)

set(doc_dir ${CMAKE_INSTALL_DATADIR}/doc/rhombus-responder)
set(deploy_dir ${PROJECT_SOURCE_DIR}/deploy)

function(responder_compress from to)
  execute_process(COMMAND gzip -9nc ${from} OUTPUT_FILE ${CMAKE_BINARY_DIR}/package/${to} COMMAND_ERROR_IS_FATAL ANY)
  set_property(DIRECTORY ${PROJECT_SOURCE_DIR} APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${from})
endfunction()

file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/package)
responder_compress(${deploy_dir}/man/rhombus-responder.1 rhombus-responder.1.gz)
responder_compress(${PROJECT_SOURCE_DIR}/CHANGELOG.md changelog.gz)

install(TARGETS rhombus-responder RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT program)
install(FILES ${CMAKE_BINARY_DIR}/package/rhombus-responder.1.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT program)
install(FILES ${deploy_dir}/completions/rhombus-responder.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions
  RENAME rhombus-responder COMPONENT program)
install(FILES ${deploy_dir}/completions/rhombus-responder.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d
  COMPONENT program)
# Not CMAKE_INSTALL_LIBDIR: systemd looks into lib on every architecture.
install(FILES ${deploy_dir}/rhombus-responder.service ${deploy_dir}/rhombus-responder.socket
  ${deploy_dir}/rhombus-responder-catch-up.service ${deploy_dir}/rhombus-responder-catch-up.timer
  ${deploy_dir}/rhombus-responder-tunnel.service
  DESTINATION lib/systemd/system COMPONENT program)
install(FILES ${deploy_dir}/sysusers.conf DESTINATION lib/sysusers.d RENAME rhombus-responder.conf COMPONENT program)
install(FILES ${PROJECT_SOURCE_DIR}/README.md DESTINATION ${doc_dir} COMPONENT program)
# As in the source, so that the names in README.md are right here as well.
install(FILES ${deploy_dir}/README.md ${deploy_dir}/MIGRATING.md ${deploy_dir}/crontab ${deploy_dir}/config.toml
  DESTINATION ${doc_dir}/deploy COMPONENT program)
install(DIRECTORY ${deploy_dir}/nginx ${deploy_dir}/caddy ${deploy_dir}/haproxy ${deploy_dir}/prometheus ${deploy_dir}/grafana
  DESTINATION ${doc_dir}/deploy COMPONENT program PATTERN "*_test.yml" EXCLUDE)
install(FILES ${deploy_dir}/config.toml DESTINATION /etc/rhombus-responder COMPONENT configuration EXCLUDE_FROM_ALL)

# Only for the .deb.
set(CPACK_PACKAGE_CONTACT "rhombus-responder authors <packages@rhombus-responder.invalid>")
configure_file(${deploy_dir}/debian/changelog.in ${CMAKE_BINARY_DIR}/package/changelog.Debian @ONLY)
responder_compress(${CMAKE_BINARY_DIR}/package/changelog.Debian changelog.Debian.gz)
install(FILES ${CMAKE_BINARY_DIR}/package/changelog.Debian.gz ${CMAKE_BINARY_DIR}/package/changelog.gz
  ${deploy_dir}/debian/copyright DESTINATION ${doc_dir} COMPONENT debian EXCLUDE_FROM_ALL)
# Debian's zsh looks there for what packages bring, and into site-functions below /usr/local, which scripts/install fills.
install(FILES ${deploy_dir}/completions/_rhombus-responder DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions
  COMPONENT debian EXCLUDE_FROM_ALL)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME rhombus-responder)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_COMPONENTS_ALL program configuration debian)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_GROUPING ALL_COMPONENTS_IN_ONE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# Loaded while the program runs, where dpkg-shlibdeps does not see it.
string(REGEX MATCH "^[0-9]+" avformat_major ${libav_libavformat_VERSION})
string(REGEX MATCH "^[0-9]+" swscale_major ${libav_libswscale_VERSION})
set(CPACK_DEBIAN_PACKAGE_DEPENDS "libavformat${avformat_major} | libavformat-extra${avformat_major}, \
libswscale${swscale_major}, ca-certificates, systemd | systemd-standalone-sysusers | systemd-sysusers")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "autossh, caddy | haproxy | nginx, prometheus, rclone")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "takes the footage of Rhombus alerts onto own storage")
set(CPACK_PACKAGE_DESCRIPTION
"Listens for the webhooks of Rhombus security cameras, pulls the footage around
each policy alert from the camera over the LAN or the WAN while it is being
recorded, and publishes one MP4 per alert and camera. What webhooks did not
tell it finds by asking, so that nothing is lost and nothing taken twice.")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${deploy_dir}/debian/conffiles ${deploy_dir}/debian/postinst
  ${deploy_dir}/debian/prerm ${deploy_dir}/debian/postrm)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)
