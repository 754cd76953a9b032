console.log('native: pending')
