//! wasmtime's file system, asked through the quota.
//!
//! Whether something may be changed at all is decided by wasmtime from the preopen: only the
//! scratch directory may. Everything else passes through here untouched.

use std::collections::HashMap;

use wasmtime::component::{HasData, Resource};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemCtxView};
use wasmtime_wasi::p2::bindings::filesystem::preopens;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, DirectoryEntryStream, ErrorCode, Filesize,
    Host, HostDescriptor, HostDirectoryEntryStream, MetadataHashValue, NewTimestamp, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, FsError, FsResult};

use super::places::Places;
use super::quota::{Full, Key, OpenFile, Quota};
use super::stream::{Reading, Writing};

/// Says that the files of a store are seen through a [`FilesView`].
pub(crate) struct Files;

impl HasData for Files {
    type Data<'a> = FilesView<'a>;
}

/// The files of one instance.
pub(crate) struct FilesView<'a> {
    pub(crate) inner: WasiFilesystemCtxView<'a>,
    /// `None` if there is no scratch directory.
    pub(crate) quota: Option<&'a Quota>,
    /// What the instance has open in its scratch directory.
    pub(crate) open: &'a mut HashMap<u32, OpenScratchFile>,
    /// Where the directories it has open are.
    pub(crate) places: &'a mut Places,
}

/// A descriptor of a file in the scratch directory.
#[derive(Debug)]
pub(crate) struct OpenScratchFile(OpenFile);

impl FilesView<'_> {
    /// The quota, if the directory is in the scratch directory: no other can be changed.
    async fn quota_of(&mut self, directory: u32) -> FsResult<Option<Quota>> {
        let Some(quota) = self.quota.cloned() else { return Ok(None) };
        let flags = self.inner.get_flags(borrowed(directory)).await?;
        Ok(flags.contains(DescriptorFlags::MUTATE_DIRECTORY).then_some(quota))
    }

    async fn key_at(&mut self, directory: u32, path: &str) -> Option<Key> {
        let hash = self.inner.metadata_hash_at(borrowed(directory), PathFlags::empty(), path.to_owned()).await;
        hash.ok().map(key)
    }

    fn opened(&self, file: u32) -> Option<OpenFile> {
        self.open.get(&file).map(|open| open.0.clone())
    }
}

fn borrowed(descriptor: u32) -> Resource<Descriptor> {
    Resource::new_borrow(descriptor)
}

const fn key(hash: MetadataHashValue) -> Key {
    (hash.lower, hash.upper)
}

fn full(_: Full) -> FsError {
    ErrorCode::InsufficientSpace.into()
}

impl preopens::Host for FilesView<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        let directories = preopens::Host::get_directories(&mut self.inner)?;
        for (descriptor, path) in &directories {
            self.places.given(descriptor.rep(), path);
        }
        Ok(directories)
    }
}

impl Host for FilesView<'_> {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<ErrorCode> {
        self.inner.convert_error_code(error)
    }

    fn filesystem_error_code(&mut self, error: Resource<wasmtime::Error>) -> wasmtime::Result<Option<ErrorCode>> {
        self.inner.filesystem_error_code(error)
    }
}

impl HostDescriptor for FilesView<'_> {
    async fn open_at(
        &mut self,
        directory: Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
        open_flags: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Resource<Descriptor>> {
        let parent = directory.rep();
        let place = self.places.below(parent, &path);
        if !self.places.has_room() {
            return Err(ErrorCode::Quota.into());
        }
        let changes =
            flags.contains(DescriptorFlags::WRITE) || open_flags.intersects(OpenFlags::CREATE | OpenFlags::TRUNCATE);
        let asked_for_directory = open_flags.contains(OpenFlags::DIRECTORY);
        let opened = self.open_counted(directory, path_flags, path, open_flags, flags).await;
        match &opened {
            Ok(file) => {
                let file = file.rep();
                let is_directory = self.places.remembers(place.as_ref(), asked_for_directory)
                    && self.inner.get_type(borrowed(file)).await? == DescriptorType::Directory;
                self.places.opened(file, place, is_directory);
            }
            Err(_) => self.places.failed(place.as_ref(), changes),
        }
        opened
    }

    fn drop(&mut self, descriptor: Resource<Descriptor>) -> wasmtime::Result<()> {
        self.open.remove(&descriptor.rep());
        self.places.closed(descriptor.rep());
        HostDescriptor::drop(&mut self.inner, descriptor)
    }

    async fn write(&mut self, file: Resource<Descriptor>, bytes: Vec<u8>, offset: Filesize) -> FsResult<Filesize> {
        if let Some(open) = self.opened(file.rep()) {
            open.reach(offset.saturating_add(bytes.len() as u64)).map_err(full)?;
        }
        self.inner.write(file, bytes, offset).await
    }

    async fn set_size(&mut self, file: Resource<Descriptor>, size: Filesize) -> FsResult<()> {
        let open = self.opened(file.rep());
        if let Some(open) = &open {
            open.reach(size).map_err(full)?;
        }
        self.inner.set_size(file, size).await?;
        if let Some(open) = &open {
            open.cut(size);
        }
        Ok(())
    }

    fn write_via_stream(
        &mut self,
        file: Resource<Descriptor>,
        offset: Filesize,
    ) -> FsResult<Resource<DynOutputStream>> {
        let open = self.opened(file.rep());
        let stream = self.inner.write_via_stream(file, offset)?;
        self.counted(stream, open, Some(offset))
    }

    fn append_via_stream(&mut self, file: Resource<Descriptor>) -> FsResult<Resource<DynOutputStream>> {
        let open = self.opened(file.rep());
        let stream = self.inner.append_via_stream(file)?;
        self.counted(stream, open, None)
    }

    fn read_via_stream(&mut self, file: Resource<Descriptor>, offset: Filesize) -> FsResult<Resource<DynInputStream>> {
        let open = self.opened(file.rep());
        let stream = self.inner.read_via_stream(file, offset)?;
        let inner = self.inner.table.delete(stream)?;
        let reading: DynInputStream = Box::new(Reading { inner, _file: open });
        Ok(self.inner.table.push(reading)?)
    }

    async fn create_directory_at(&mut self, directory: Resource<Descriptor>, path: String) -> FsResult<()> {
        let quota = self.quota_of(directory.rep()).await?;
        if let Some(quota) = &quota {
            quota.add_entry().map_err(full)?;
        }
        let place = self.places.below(directory.rep(), &path);
        let created = self.inner.create_directory_at(directory, path).await;
        if created.is_err() {
            self.places.failed(place.as_ref(), true);
        }
        if let (Some(quota), Err(_)) = (&quota, &created) {
            quota.drop_entry();
        }
        created
    }

    async fn remove_directory_at(&mut self, directory: Resource<Descriptor>, path: String) -> FsResult<()> {
        let quota = self.quota_of(directory.rep()).await?;
        let place = self.places.below(directory.rep(), &path);
        self.inner
            .remove_directory_at(directory, path)
            .await
            .inspect_err(|_| self.places.failed(place.as_ref(), true))?;
        if let Some(quota) = quota {
            quota.drop_entry();
        }
        Ok(())
    }

    async fn unlink_file_at(&mut self, directory: Resource<Descriptor>, path: String) -> FsResult<()> {
        let quota = self.quota_of(directory.rep()).await?;
        let removed = self.key_at(directory.rep(), &path).await;
        let place = self.places.below(directory.rep(), &path);
        self.inner.unlink_file_at(directory, path).await.inspect_err(|_| self.places.failed(place.as_ref(), true))?;
        if let (Some(quota), Some(removed)) = (quota, removed) {
            quota.removed(removed);
        }
        Ok(())
    }

    async fn rename_at(
        &mut self,
        from: Resource<Descriptor>,
        old_path: String,
        to: Resource<Descriptor>,
        new_path: String,
    ) -> FsResult<()> {
        let quota = self.quota_of(to.rep()).await?;
        let (moved, replaced) = (self.key_at(from.rep(), &old_path).await, self.key_at(to.rep(), &new_path).await);
        let place = self.places.below(to.rep(), &new_path);
        let renamed = self.inner.rename_at(from, old_path, to, new_path).await;
        renamed.inspect_err(|_| self.places.failed(place.as_ref(), true))?;
        if let (Some(quota), Some(replaced)) = (quota, replaced.filter(|replaced| moved != Some(*replaced))) {
            quota.removed(replaced);
        }
        Ok(())
    }

    /// Refused: the count stands on every file having one name.
    async fn link_at(
        &mut self,
        directory: Resource<Descriptor>,
        path_flags: PathFlags,
        old_path: String,
        to: Resource<Descriptor>,
        new_path: String,
    ) -> FsResult<()> {
        if self.quota_of(to.rep()).await?.is_some() {
            return Err(ErrorCode::NotPermitted.into());
        }
        self.inner.link_at(directory, path_flags, old_path, to, new_path).await
    }

    /// Refused: nothing that is kept for a moment needs links, and nobody has to follow them.
    async fn symlink_at(&mut self, directory: Resource<Descriptor>, target: String, path: String) -> FsResult<()> {
        if self.quota_of(directory.rep()).await?.is_some() {
            return Err(ErrorCode::NotPermitted.into());
        }
        self.inner.symlink_at(directory, target, path).await
    }

    async fn advise(
        &mut self,
        fd: Resource<Descriptor>,
        offset: Filesize,
        length: Filesize,
        advice: Advice,
    ) -> FsResult<()> {
        self.inner.advise(fd, offset, length, advice).await
    }

    async fn sync_data(&mut self, fd: Resource<Descriptor>) -> FsResult<()> {
        self.inner.sync_data(fd).await
    }

    async fn get_flags(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorFlags> {
        self.inner.get_flags(fd).await
    }

    async fn get_type(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorType> {
        self.inner.get_type(fd).await
    }

    async fn set_times(
        &mut self,
        fd: Resource<Descriptor>,
        access: NewTimestamp,
        change: NewTimestamp,
    ) -> FsResult<()> {
        self.inner.set_times(fd, access, change).await
    }

    async fn read(
        &mut self,
        fd: Resource<Descriptor>,
        length: Filesize,
        offset: Filesize,
    ) -> FsResult<(Vec<u8>, bool)> {
        self.inner.read(fd, length, offset).await
    }

    async fn read_directory(&mut self, fd: Resource<Descriptor>) -> FsResult<Resource<DirectoryEntryStream>> {
        self.inner.read_directory(fd).await
    }

    async fn sync(&mut self, fd: Resource<Descriptor>) -> FsResult<()> {
        self.inner.sync(fd).await
    }

    async fn stat(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorStat> {
        self.inner.stat(fd).await
    }

    async fn stat_at(
        &mut self,
        fd: Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
    ) -> FsResult<DescriptorStat> {
        self.inner.stat_at(fd, path_flags, path).await
    }

    async fn set_times_at(
        &mut self,
        fd: Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
        access: NewTimestamp,
        change: NewTimestamp,
    ) -> FsResult<()> {
        self.inner.set_times_at(fd, path_flags, path, access, change).await
    }

    async fn readlink_at(&mut self, fd: Resource<Descriptor>, path: String) -> FsResult<String> {
        self.inner.readlink_at(fd, path).await
    }

    async fn is_same_object(&mut self, a: Resource<Descriptor>, b: Resource<Descriptor>) -> wasmtime::Result<bool> {
        self.inner.is_same_object(a, b).await
    }

    async fn metadata_hash(&mut self, fd: Resource<Descriptor>) -> FsResult<MetadataHashValue> {
        self.inner.metadata_hash(fd).await
    }

    async fn metadata_hash_at(
        &mut self,
        fd: Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
    ) -> FsResult<MetadataHashValue> {
        self.inner.metadata_hash_at(fd, path_flags, path).await
    }
}

impl FilesView<'_> {
    /// Opens a file, and counts it when it is in the scratch directory.
    async fn open_counted(
        &mut self,
        directory: Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
        open_flags: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Resource<Descriptor>> {
        let parent = directory.rep();
        let Some(quota) = self.quota_of(parent).await? else {
            return self.inner.open_at(directory, path_flags, path, open_flags, flags).await;
        };
        let may_create = open_flags.contains(OpenFlags::CREATE);
        let creates = may_create && self.key_at(parent, &path).await.is_none();
        if creates {
            quota.add_entry().map_err(full)?;
        }
        let opened = self.inner.open_at(directory, path_flags, path, open_flags, flags).await;
        let file = match opened {
            Ok(file) => file,
            Err(error) => {
                if creates {
                    quota.drop_entry();
                }
                return Err(error);
            }
        };
        if self.inner.get_type(borrowed(file.rep())).await? == DescriptorType::RegularFile {
            let open = quota.open(key(self.inner.metadata_hash(borrowed(file.rep())).await?));
            if open_flags.contains(OpenFlags::TRUNCATE) {
                open.cut(0);
            }
            self.open.insert(file.rep(), OpenScratchFile(open));
        }
        Ok(file)
    }

    /// Puts a stream that asks the quota in the place of one that does not.
    fn counted(
        &mut self,
        stream: Resource<DynOutputStream>,
        open: Option<OpenFile>,
        position: Option<u64>,
    ) -> FsResult<Resource<DynOutputStream>> {
        let Some(file) = open else { return Ok(stream) };
        let inner = self.inner.table.delete(stream)?;
        let writing: DynOutputStream = Box::new(Writing { inner, file, position });
        Ok(self.inner.table.push(writing)?)
    }
}

impl HostDirectoryEntryStream for FilesView<'_> {
    async fn read_directory_entry(
        &mut self,
        stream: Resource<DirectoryEntryStream>,
    ) -> FsResult<Option<DirectoryEntry>> {
        self.inner.read_directory_entry(stream).await
    }

    fn drop(&mut self, stream: Resource<DirectoryEntryStream>) -> wasmtime::Result<()> {
        HostDirectoryEntryStream::drop(&mut self.inner, stream)
    }
}
